#!/usr/bin/env node
// Entry point of the `multigate` command.

import { watchOutputs } from './exit.js'
import { runCli } from './program.js'

const outputCode = watchOutputs()
void runCli(process.argv.slice(2)).then((code) => {
  process.exitCode = outputCode() ?? code
})
