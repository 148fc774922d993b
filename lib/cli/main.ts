#!/usr/bin/env node
// The `multigate` command. Nothing is decided here.

import { runCli } from './program.js'

void runCli(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})
