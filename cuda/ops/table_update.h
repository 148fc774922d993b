// Data that the kernels of a step's embedding table update share: the facts of each table and the memory of one step. All tables share the
// launches; a block belongs to one table. See embedding_update.cu.
#pragma once
#include "cuda/ops/penalty.h"
#include "cuda/ops/sort.h"
#include "cuda/ops/update_rule.h"

namespace mg_cuda {

inline constexpr int kSumThreads = 256;
inline constexpr int kCombineThreads = 512;
inline constexpr int64_t kChunk = 32;  // most occurrences that a group of lanes adds in order
inline constexpr int64_t kMostCombineBlocks = 2048;
inline constexpr int64_t kMostSweepBlocks = 4096;

// Ids that were gathered from a table, and the gradient of the gathered rows.
struct Feature {
  const int32_t* ids;     // [rows, length]
  const float* gradient;  // [rows, dim]
  int64_t id_stride, gradient_stride;
  int64_t ids_before;  // ids of all features before it, per row of the batch
  int32_t length, combiner, table;
};

// Number of a table's blocks in each launch.
struct TableBlocks {
  int64_t sort, sum, combine, sweep;
};

struct TableUpdate {
  UpdateRule rule;
  StepSource source;
  Updated to;
  PenaltyRates rates;
  RowSplit split;
  int64_t rows, dim;
  int64_t ids_before, ids;  // per row of the batch: ids of the tables before it, and its own
  int64_t moved;            // exact: its first mark among those of all tables; -1: lazy
  int64_t partials;         // its first partial sum, of the penalty or of squares; -1: neither
  int32_t first_feature, feature_count;
  uint32_t padding;  // the id of padding, past the table
  int32_t bits;      // bits of its largest id
  bool has_mean;

  __host__ __device__ TableBlocks blocks(int64_t batch_rows) const {
    const int64_t count = batch_rows * ids, chunks = (count + kChunk - 1) / kChunk, of_a_block = kSumThreads >> split.log;
    const int64_t sweep = moved < 0 ? 0 : (rows + of_a_block - 1) / of_a_block;
    constexpr int64_t kChunksOfABlock = kSumThreads / kWarp;
    return {ListToSort::blocks(count), (chunks + kChunksOfABlock - 1) / kChunksOfABlock, chunks < kMostCombineBlocks ? chunks : kMostCombineBlocks,
            sweep < kMostSweepBlocks ? sweep : kMostSweepBlocks};
  }
  // Floats of whole gradients of rows, by place in the list, for a rule that needs them; whole pieces likewise.
  __host__ __device__ int64_t row_floats(int64_t batch_rows) const { return source.rule == kRowwise ? (batch_rows * ids * dim + 3) / 4 * 4 : 0; }
  // Floats of partial sums of runs, two per chunk, in whole pieces, so that the next table's sums are aligned.
  __host__ __device__ int64_t sum_floats(int64_t batch_rows) const { return (2 * ((batch_rows * ids + kChunk - 1) / kChunk) * dim + 3) / 4 * 4; }
};

// A table's values that change from step to step, or with the number of rows.
struct TablePlace {
  UpdateStep step;
  int64_t sum, combine, sweep;  // its first block among those of all tables
  int64_t sums, gradients;      // its first sum, and its first gradient of a row
};

// A kernel argument. Arrays of occurrences hold one table after another.
struct TableBatch {
  int64_t rows;  // of the batch
  int table_count, feature_count;
  const TableUpdate* tables;
  const Feature* features;
  TablePlace* places;             // [tables]
  ListToSort* lists;              // [tables]
  uint32_t *keys[2], *values[2];  // [occurrences]: id, and row over all features
  float* scale;                   // [features, rows]: factor of a row's gradient, for features with a mean
  float *sums, *gradients;
  uint8_t* moved;  // 1 if a run has updated the row of an exact table
  double* partials;

  int64_t occurrences(const TableUpdate& table) const { return rows * table.ids; }
};

// Tables [first, past) have the same rule and pieces of the same size.
struct TableRange {
  int first, past;
  int64_t rule;
  bool aligned;
};

// Queues the steps after the sort: sums, updates, sweep. `blocks`: blocks of the range's tables.
void launch_table_sums(Stream& stream, const TableBatch& batch, const TableRange& range, const TableBlocks& blocks);

}  // namespace mg_cuda
