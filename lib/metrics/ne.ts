// Normalised entropy (He et al., 2014): the log loss beside that of a model that always predicts the share of positive rows.

import { AgainstLabels } from './against-labels.js'
import { ofProbability } from './logloss.js'
import type { Metric } from './metric.js'

/** Log loss over the entropy of the share of positive rows, both by weight. Below 1, scores say more than that share does. */
export const ne = {
  name: 'ne',
  better: 'lower',
  measured: 'always',
  display: { title: 'NE', heading: 'ne', format: 'decimals' },
  of: {
    number: () =>
      new AgainstLabels(ofProbability, (loss, share) => {
        const entropy = -(share * Math.log(share) + (1 - share) * Math.log1p(-share))
        return entropy > 0 ? loss / entropy : undefined
      }),
  },
} as const satisfies Metric
