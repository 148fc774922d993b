// One-epoch overfitting: models with large embedding tables fit the training rows suddenly better in their second epoch, and other rows
// worse (Zhang et al., 2022, "Towards Understanding the Overfitting Phenomenon of Deep Click-Through Rate Models").

import type { EpochRecord } from './history.js'

/** Shares by which a loss must change: less is noise. */
const worse = 1.01
const better = 0.99

/** A sentence if the second epoch was worse than the first on the validation rows, and better on the training rows. */
export function overfitWarning(first: EpochRecord, second: EpochRecord): string | undefined {
  if (first.epoch !== 1 || second.epoch !== 2 || first.validation === undefined || second.validation === undefined)
    return undefined
  const [before, after] = [first.validation.loss, second.validation.loss]
  if (!(after > before + (worse - 1) * Math.abs(before)) || !(second.loss < first.loss - (1 - better) * Math.abs(first.loss)))
    return undefined
  const losses = `val loss ${before.toFixed(4)} after epoch 1, ${after.toFixed(4)} after epoch 2, while the training loss fell`
  return `the embeddings overfit after one epoch: ${losses}; train one epoch, or set resetEmbeddings: 'epoch'`
}
