// Evaluation: one pass over a dataset, then losses and metrics per task. Rows without a label count in neither.



export interface TaskEvaluation {
  /** Loss of the task as training defines it (weights of rows, reduction), without its weight and without penalties. */
  readonly loss: number
  /** Undefined where the labels are all alike; `aucReason` says so. */
  readonly auc: number | undefined
  readonly aucReason: string | undefined
  /** Mean log loss over labelled rows, unweighted. */
  readonly logloss: number | undefined
  /** Share of labelled rows on the right side of one half. */
  readonly accuracy: number | undefined
  readonly positives: number
  /** Rows with a label. */
  readonly rows: number
}

export interface Evaluation<Name extends string = string> {
  readonly tasks: Readonly<Record<Name, TaskEvaluation>>
  /** Sum of task weight x task loss, and penalties over all weights. */
  readonly loss: number
  readonly rows: number
}
