#!/usr/bin/env node
// Writes programs.json beside this file: the workloads that `selftest --time` runs on machines without Node. A test holds the file
// against what is lowered today; run this after a change of lowering.

import { writeFileSync } from 'node:fs'
import { deviceWorkloads } from '../../dist/bench/programs.js'

const lines = (await deviceWorkloads()).map((workload) => JSON.stringify(workload))
writeFileSync(new URL('programs.json', import.meta.url), `[\n${lines.join(',\n')}\n]\n`)
