// Entire-space multi-task model (Ma et al., SIGIR 2018): a funnel of tasks, such as click, then buy. Each tower gives the probability
// of its step after the one before. The model trains and predicts the product of the steps over all impressions, so rows without a
// click teach the conversion rate too.

import { z } from 'zod'

import { invalidArgument } from '../core/check.js'
import { emitLoss, emitPrediction, emitProduct, emitProductLoss } from '../layers/heads.js'
import { defineModel, type Written } from './definition.js'
import type { Body, BodyContext, Objective } from './lowering.js'
import { commonOptions } from './options.js'

const schema = z.strictObject({
  ...commonOptions,
  /** The divisor of the sum of a task's losses. Default `'batch'`: all rows, as in the paper. */
  lossReduction: commonOptions.lossReduction.unwrap().default('batch'),
})

/** The options of an ESMM, without features and tasks. */
export type ESMMNetworkOptions = Written<z.input<typeof schema>>

type Options = z.output<typeof schema>

/** ESMM as data: its options and its lowering. */
export const esmm = defineModel<ESMMNetworkOptions, Options>({
  name: 'ESMM',
  schema,
  body,
  check({ tasks }) {
    if (tasks.length < 2) throw invalidArgument('ESMM.tasks', 'at least two binary tasks, in the order of the funnel', tasks)
    for (const [index, task] of tasks.entries()) {
      if (task.kind !== 'binary') throw invalidArgument(`ESMM.tasks[${index}].kind`, "'binary'", task.kind)
      for (const option of ['focal', 'negativeRate', 'atMost'] as const) {
        if (task[option] === undefined) continue
        const next = 'leave it out, or use another model, such as MMoE'
        throw invalidArgument(
          `ESMM.tasks[${index}].${option}`,
          'nothing, because tasks are trained as products',
          task[option],
          next,
        )
      }
    }
    const steps = tasks.slice(1).map(({ name }, index) => conditionalName(name, tasks[index]?.name ?? ''))
    const taken = tasks.findIndex(({ name }) => steps.includes(name))
    if (taken >= 0) {
      throw invalidArgument(
        `ESMM.tasks[${taken}].name`,
        `a name that differs from the steps ${steps.join(', ')}`,
        tasks[taken]?.name,
      )
    }
  },
})

/** Name of the output of a task, given the task before it in the funnel. */
export function conditionalName(task: string, given: string): string {
  return `${task}_given_${given}`
}

function body({ inputDim, tasks }: BodyContext<Options>): Body {
  return { outputDim: inputDim, forward: (_, x) => tasks.map(() => x), objective: funnel }
}

const funnel: Objective = {
  loss(tape, logits, tasks, index, reduction) {
    const [task, first] = [tasks[index], logits[0]]
    if (task === undefined || first === undefined) throw new Error(`task ${index} has no logit`)
    if (index === 0) emitLoss(tape, first, task, reduction)
    else emitProductLoss(tape, logits.slice(0, index + 1), task, reduction)
  },
  predictions(program, logits, tasks) {
    tasks.forEach((task, index) => {
      const [own, before] = [logits[index], tasks[index - 1]]
      if (own === undefined) throw new Error(`task ${task.name} has no logit`)
      if (before === undefined) {
        emitPrediction(program, own, task)
        return
      }
      emitProduct(program, logits.slice(0, index + 1), task.name)
      emitPrediction(program, own, { ...task, name: conditionalName(task.name, before.name) })
    })
  },
}
