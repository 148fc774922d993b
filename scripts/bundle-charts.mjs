// Bundles ECharts into dist/report/chart-library.js, which tsc has just written, and puts its licences beside it.

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = join(root, 'dist', 'report')
const file = join(folder, 'chart-library.js')
const packages = ['echarts/LICENSE', 'echarts/NOTICE', 'zrender/LICENSE', 'tslib/LICENSE.txt']
const notice = '/*! Contains Apache ECharts, zrender and tslib. Their licences are in chart-library.LICENSES.txt. */\n'

const bundle = await rolldown({ input: file })
const { output } = await bundle.generate({ format: 'esm', minify: true })
await bundle.close()
const licences = packages.map((path) => `${path}\n\n${readFileSync(join(root, 'node_modules', path), 'utf8')}`)
writeFileSync(join(folder, 'chart-library.LICENSES.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`))
writeFileSync(file, notice + output[0].code)
