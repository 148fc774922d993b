// The entry of the package: every public name. `multigate/ops` has the fused kernels themselves.

import './core/disposable.js'

import type { DeviceInfo } from './native/binding.js'
import { loadNative } from './native/loader.js'

export type { AlignedMtlOptions } from './balancing/aligned-mtl.js'
export type { CagradOptions } from './balancing/cagrad.js'
export type { DwaOptions } from './balancing/dwa.js'
export type { FamoOptions } from './balancing/famo.js'
export type { FixedOptions } from './balancing/fixed.js'
export type { GlsOptions } from './balancing/gls.js'
export type { GradnormOptions } from './balancing/gradnorm.js'
export type { ImtlGOptions } from './balancing/imtl-g.js'
export type { ImtlLOptions } from './balancing/imtl-l.js'
export type { GradientOptions } from './balancing/method.js'
export type { MgdaOptions } from './balancing/mgda.js'
export type { NashMtlOptions } from './balancing/nash-mtl.js'
export type { PcgradOptions } from './balancing/pcgrad.js'
export type { BalanceMethod, BalanceOptions } from './balancing/registry.js'
export type { RlwOptions } from './balancing/rlw.js'
export type { StchOptions } from './balancing/stch.js'
export type { UncertaintyOptions } from './balancing/uncertainty.js'
export type { UpgradOptions } from './balancing/upgrad.js'
export type { Column, ListColumn, NumberColumn, NumberValues, ScalarColumn, StringColumn, ValueType } from './core/columns.js'
export {
  AbortedError,
  ArgumentError,
  BusyError,
  DataError,
  type DataPlace,
  DisposedError,
  FormatError,
  MissingPackageError,
  MultigateError,
  NotBuiltError,
  WriteError,
} from './core/errors.js'
export type { FilePath } from './core/path.js'
export type { Signal } from './core/slices.js'
export type { Temperature, TemperatureSchedule } from './core/temperature.js'
export type { ArrowTable, ArrowVector } from './data/arrow.js'
export type { ScalarValue, Value } from './data/builder.js'
export type { ColumnsOptions } from './data/column-selection.js'
export type { CsvOptions } from './data/csv-options.js'
export { type ChunkOptions, Dataset, type DatasetSplit } from './data/dataset.js'
export type { DatasetStream, StreamSplit } from './data/dataset-stream.js'
export type { ParquetOptions, QueryOptions } from './data/query.js'
export type { Row } from './data/rows.js'
export type {
  ColumnSplit,
  HashSplit,
  RowSplit,
  SplitOptions,
  SplitRange,
  SplitValue,
  SplitValues,
  StratifiedSplit,
  TimeSplit,
} from './data/split.js'
export type { ColumnValues, FlatLists, NumberArray, ScalarValues } from './data/values.js'
export type { ValueCounts } from './features/encode/encoder.js'
export { dense } from './features/spec/dense.js'
export type {
  DenseFeature,
  DenseOptions,
  Feature,
  IdOptions,
  SequenceFeature,
  SequenceOptions,
  SparseFeature,
} from './features/spec/feature.js'
export { sequence } from './features/spec/sequence.js'
export { sparse } from './features/spec/sparse.js'
export type { ImportedWeight, ImportedWeights, ImportFamily, ImportOptions } from './import/import-weights.js'
export { type AucResult, auc } from './metrics/auc.js'
export { type GroupCounts, type GroupedAucResult, groupedAuc } from './metrics/grouped-auc.js'
export type { Groups } from './metrics/groups.js'
export type { AlwaysMeasured, MeasuredName, MetricName, MetricValues } from './metrics/registry.js'
export type { ScoredRows } from './metrics/rows.js'
export {
  CGC,
  type CGCOptions,
  ESMM,
  type ESMMOptions,
  MMoE,
  type MMoEOptions,
  OMoE,
  type OMoEOptions,
  PLE,
  type PLEOptions,
  SharedBottom,
  type SharedBottomOptions,
  SingleTask,
  type SingleTaskOptions,
} from './model/classes.js'
export type { GateDescription, ModelDescription, TableDescription } from './model/describe.js'
export type { ExplainedFeature, ExplainedTask, ExplainOptions, Explanation, LogitOf, RawValue } from './model/explain.js'
export type {
  Importance,
  ImportanceOptions,
  TaskImportance,
} from './model/importance.js'
export { loadModel } from './model/load.js'
export type { CallOptions, EvaluateOptions, FillOptions, Model, ModelInput, Scores } from './model/model.js'
export {
  type ChoiceOf,
  integers,
  logUniform,
  type Numbers,
  type OneOf,
  oneOf,
  type Plain,
  type Space,
  uniform,
} from './model/space.js'
export {
  type Setting,
  type Trial,
  type TunedModel,
  type TuneOptions,
  type TuneProgress,
  type TuneResult,
  tune,
} from './model/tune.js'
export type { TaskName } from './models/definition.js'
export type { DataPlacement, DeviceInfo, DeviceName, Precision } from './native/binding.js'
export type { OnnxFiles, OnnxOptions } from './onnx/options.js'
export { type Adagrad, type AdagradOptions, adagrad } from './optimizers/adagrad.js'
export { type Adam, type AdamOptions, adam } from './optimizers/adam.js'
export { type AdamW, type AdamWOptions, adamw } from './optimizers/adamw.js'
export type { OptimizerForm } from './optimizers/form.js'
export { type Ftrl, type FtrlOptions, ftrl } from './optimizers/ftrl.js'
export type { Optimizer } from './optimizers/optimizer.js'
export { type RMSprop, type RMSpropOptions, rmsprop } from './optimizers/rmsprop.js'
export { type RowwiseAdagrad, type RowwiseAdagradOptions, rowwiseAdagrad } from './optimizers/rowwise-adagrad.js'
export type {
  ConstantSchedule,
  CosineRestartsSchedule,
  CosineSchedule,
  ExponentialSchedule,
  LearningRate,
  LearningRateSchedule,
  OneCycleSchedule,
  PolynomialSchedule,
  StepSchedule,
} from './optimizers/schedule.js'
export { type Sgd, type SgdOptions, sgd } from './optimizers/sgd.js'
export { explainTable } from './report/explain.js'
export { gatesTable } from './report/gates.js'
export { importTable } from './report/import.js'
export { importanceTable } from './report/importance.js'
export { type ProgressOptions, type ProgressStream, progress } from './report/progress.js'
export { type ReportOptions, report } from './report/report.js'
export { historyTable, resultsTable } from './report/results.js'
export { tuneProgress, tuneTable } from './report/tune.js'
export type { Batch } from './runtime/batch.js'
export type { ComputeOptions } from './runtime/compute.js'
export type { Evaluation, RowCounts, TaskEvaluation } from './runtime/evaluate.js'
export type { GateRecord, GateStatistics } from './runtime/gate-statistics.js'
export type { GateWeights } from './runtime/gates.js'
export type { MeasuringOptions } from './runtime/measuring.js'
export type { DatasetParts, RowStream } from './runtime/parts.js'
export type { Candidates } from './runtime/request.js'
export type { UnknownValues } from './runtime/unknown.js'
export type { Snapshot } from './runtime/weights.js'
export { type BinaryOptions, type BinaryTask, binary } from './tasks/binary.js'
export type { Comparable, Condition, Where } from './tasks/condition.js'
export type { LabelOptions } from './tasks/labels.js'
export { type MulticlassOptions, type MulticlassTask, multiclass } from './tasks/multiclass.js'
export { type RegressionLoss, type RegressionOptions, type RegressionTask, regression } from './tasks/regression.js'
export type { CountingKind, Task, TaskKind } from './tasks/task.js'
export type { Callback, CallbackLike, CallbackState, FitControl, FitPlan, StepRecord } from './training/callbacks.js'
export { type CheckpointOptions, checkpoint } from './training/checkpoint.js'
export { type EarlyStoppingOptions, earlyStopping } from './training/early-stopping.js'
export { type EpochLogOptions, epochLog } from './training/epoch-log.js'
export type { GradientNormRecord } from './training/gradient-norms.js'
export type { ByGroup, WeightGroup } from './training/groups.js'
export type { Continuation, GrowOptions, VocabularyChange } from './training/growth.js'
export type { EpochRecord, History } from './training/history.js'
export type { ClipOptions, FitOptions, FitSettings, SampleNegativesOptions, StreamOptions } from './training/options.js'
export { type ReduceOnPlateauOptions, reduceOnPlateau } from './training/reduce-on-plateau.js'
export type { BalanceRecord } from './training/task-balance.js'
export { type TensorBoardOptions, tensorBoard } from './training/tensor-board.js'
export type { EmaOptions } from './training/weight-average.js'

/**
 * The devices of this machine, with the reason if one cannot be used.
 * @throws ERR_MULTIGATE_NATIVE if the native addon cannot be loaded.
 */
export function devices(): DeviceInfo[] {
  return loadNative().devices()
}
