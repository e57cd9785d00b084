// Builds Parley and its Facebook simulator, starts both, runs every check of
// this folder against them and stops them: `npm ci && node run.mjs`. Needs Go
// and Chromium. The builds have the race detector in: a race fails the run.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { start, stop } from './programs.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'parley-checks-'))
let passed = 0
let failed = 0

try {
  execFileSync('go', ['build', '-race', '-o', folder, './server', './server/messenger/messengersim'], {
    cwd: here('../..'),
    stdio: 'inherit',
  })
  process.env.PROGRAMS = folder
  const demo = await start('server', ['demo', '-addr', '127.0.0.1:0'], /^Parley demo: (.*)\n(?:.*\n)*?e-mail: (.*)\npassword: (.*)\n/m)
  const sim = await start('messengersim', ['-addr', '127.0.0.1:0'], /^Graph API on (.*)\n/m)
  Object.assign(process.env, { PARLEY_URL: demo[1], EMAIL: demo[2], PASSWORD: demo[3], SIM_URL: sim[1] })
  await check(['protocol.mjs', 'live.mjs', 'browser.mjs', 'messaging-api-messenger.mjs', 'oidc.mjs'])
  await stop()
  await check(['setup.mjs', 'login.mjs'])
} catch (error) {
  failed++
  console.error(error)
} finally {
  await rm(folder, { recursive: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)

// Each file is a process; node's own runner tells them apart and times them out.
async function check(names) {
  const results = run({ files: names.map((name) => here(name)), concurrency: 1, timeout: 300_000 })
  results.on('test:pass', () => passed++).on('test:fail', () => failed++)
  results.compose(new spec()).pipe(process.stdout)
  await once(results, 'end')
}
