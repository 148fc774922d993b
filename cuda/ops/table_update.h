// What a step's update of embedding tables shares between its kernels: what they know of each table, and the memory of one step. All tables
// go through the same launches; a block belongs to one table. See embedding_update.cu.
#pragma once
#include "cuda/ops/penalty.h"
#include "cuda/ops/sort.h"
#include "cuda/ops/update_rule.h"

namespace mg_cuda {

inline constexpr int kSumThreads = 256;
inline constexpr int kCombineThreads = 128;
inline constexpr int64_t kChunk = 32;  // occurrences that one group of lanes adds up at most, one after another
inline constexpr int64_t kMostCombineBlocks = 2048;
inline constexpr int64_t kMostSweepBlocks = 4096;

// Ids that were gathered from a table, and the gradient of what was gathered.
struct Feature {
  const int32_t* ids;     // [rows, length]
  const float* gradient;  // [rows, dim]
  int64_t id_stride, gradient_stride;
  int64_t ids_before;  // in a row of the batch: those of all features before it
  int32_t length, combiner, table;
};

// How many blocks a table has in each launch.
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
  int64_t ids_before, ids;  // in a row of the batch: those of the tables before it, and its own
  int64_t moved;            // exact: where its marks begin among those of all tables; -1: lazy
  int64_t partials;         // where its partial sums begin; -1: no penalty
  int32_t first_feature, feature_count;
  uint32_t padding;  // the id of what does not count: past the table
  int32_t bits;      // of its largest id
  bool has_mean;

  __host__ __device__ TableBlocks blocks(int64_t batch_rows) const {
    const int64_t count = batch_rows * ids, chunks = (count + kChunk - 1) / kChunk, of_a_block = kSumThreads >> split.log;
    const int64_t sweep = moved < 0 ? 0 : (rows + of_a_block - 1) / of_a_block;
    return {ListToSort::blocks(count), (count + of_a_block - 1) / of_a_block, chunks < kMostCombineBlocks ? chunks : kMostCombineBlocks,
            sweep < kMostSweepBlocks ? sweep : kMostSweepBlocks};
  }
  // Of partial sums of runs, two per chunk; whole pieces, so that the next table's are aligned.
  __host__ __device__ int64_t sum_floats(int64_t batch_rows) const { return (2 * ((batch_rows * ids + kChunk - 1) / kChunk) * dim + 3) / 4 * 4; }
};

// What of a table changes from step to step, or with the number of rows.
struct TablePlace {
  UpdateStep step;
  int64_t sum, combine, sweep;  // its first block, among those of all tables
  int64_t sums;                 // where its sums begin
};

// An argument of kernels. Occurrences, and what is as long, are those of table after table.
struct TableBatch {
  int64_t rows;  // of the batch
  int table_count, feature_count;
  const TableUpdate* tables;
  const Feature* features;
  TablePlace* places;             // [tables]
  ListToSort* lists;              // [tables]
  uint32_t *keys[2], *values[2];  // [occurrences]: id, and row over all features
  float* scale;                   // [features, rows]: what the gradient of a row is multiplied by, where the table has a mean
  float* sums;
  uint8_t* moved;  // 1 where a run has updated the row of an exact table
  double* partials;

  int64_t occurrences(const TableUpdate& table) const { return rows * table.ids; }
};

// Tables [first, past) have the same rule and pieces of the same size.
struct TableRange {
  int first, past;
  int64_t rule;
  bool aligned;
};

// Queues what follows the sort: sums, updates, sweep. `blocks`: of the range's tables.
void launch_table_sums(Stream& stream, const TableBatch& batch, const TableRange& range, const TableBlocks& blocks);

}  // namespace mg_cuda
