// Takes pictures of a report: light, dark, on a phone, and checks the page with axe. Usage: npm run screenshots -- REPORT.html [FOLDER]

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'

const [page = 'report.html', folder = '.'] = process.argv.slice(2)
if (!existsSync(page)) {
  console.error(`screenshots: expected a report, found no file ${page}; multigate train writes one`)
  process.exit(2)
}
const views = {
  light: { colorScheme: 'light', viewport: { width: 1160, height: 900 } },
  dark: { colorScheme: 'dark', viewport: { width: 1160, height: 900 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
}
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
let problems = 0
try {
  for (const [name, view] of Object.entries(views)) {
    const context = await browser.newContext({ ...view, bypassCSP: true })
    const tab = await context.newPage()
    await tab.goto(pathToFileURL(resolve(page)).href)
    await tab.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
    // Closed tables must hold too.
    await tab.evaluate(() => document.querySelectorAll('details').forEach((one) => one.setAttribute('open', '')))
    await tab.evaluate(axe)
    const { violations } = await tab.evaluate(() => globalThis.axe.run())
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)
    for (const { id, help, nodes } of violations) console.error(`${name}: ${id}: ${help}: ${nodes[0].html.slice(0, 200)}`)
    if (wide) console.error(`${name}: the page is wider than the screen`)
    problems += violations.length + Number(wide)
    await context.close()
  }
} finally {
  await browser.close()
}
console.log(`screenshots: ${Object.keys(views).join(', ')} in ${resolve(folder)}; axe and width: ${problems} problems`)
if (problems > 0) process.exitCode = 1
