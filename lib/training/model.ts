// A model as users hold it: options, then (once built) weights on a device. This class keeps the rules of life (built, busy,
// disposed) and hands the work to the files beside it.

import type { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { AbortedError, BusyError, DisposedError, NotBuiltError } from '../core/errors.js'
import type { Dataset } from '../data/dataset.js'
import type { Feature } from '../features/feature.js'
import type { ModelDefinition } from '../models/definition.js'
import type { CommonOptions } from '../models/options.js'
import { adam } from '../optimizers/adam.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { Task } from '../tasks/task.js'
import type { CallbackLike } from './callbacks.js'
import { resolveCompute, type Compute, type ComputeOptions } from './compute.js'
import { Encoder, type EncodedRows, type RawColumns } from './encode.js'
import { evaluate, type Evaluation } from './evaluate.js'
import { fitOptions, runFit } from './fit.js'
import type { History } from './history.js'
import { NetworkRunner } from './network-runner.js'
import { Turns } from './turns.js'

