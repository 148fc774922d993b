#!/usr/bin/env node
// The `multigate` command. Nothing is decided here.

import { watchOutputs } from './exit.js'
import { runCli } from './program.js'

const outputCode = watchOutputs()
void runCli(process.argv.slice(2)).then((code) => {
  process.exitCode = outputCode() ?? code
})
