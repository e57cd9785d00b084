// Builds Parley and its Facebook simulator, starts both, runs every check of
// this folder against them and stops them: `npm ci && node run.mjs`. Needs Go
// and Chromium. The builds have the race detector in: a race fails the run.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { within } from './within.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'parley-checks-'))
const servers = new Map()
let passed = 0
let failed = 0

try {
  execFileSync('go', ['build', '-race', '-o', folder, './server', './server/messenger/messengersim'], {
    cwd: here('../..'),
    stdio: 'inherit',
  })
  const demo = await start('server', ['demo', '-addr', '127.0.0.1:0'], /^Parley demo: (.*)\n(?:.*\n)*?e-mail: (.*)\npassword: (.*)\n/m)
  const sim = await start('messengersim', ['-addr', '127.0.0.1:0'], /^Graph API on (.*)\n/m)
  Object.assign(process.env, { PARLEY_URL: demo[1], EMAIL: demo[2], PASSWORD: demo[3], SIM_URL: sim[1] })
  await check(['protocol.mjs', 'live.mjs', 'browser.mjs', 'messaging-api-messenger.mjs', 'oidc.mjs'])
  await stop()
} catch (error) {
  failed++
  console.error(error)
} finally {
  for (const server of servers.values()) server.kill('SIGKILL')
  await rm(folder, { recursive: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)

// Starts a program and gives the match of what it prints when it is ready.
async function start(name, args, ready) {
  const server = spawn(join(folder, name), args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  servers.set(name, server)
  let printed = ''
  const match = new Promise((resolve, reject) => {
    server.on('error', reject).on('exit', (code) => reject(new Error(`${name} ended with ${code}`)))
    server.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text
      const found = ready.exec(printed)
      if (found) resolve(found)
    })
  })
  return within(60, `ready ${name}`, match)
}

// Each file is a process; node's own runner tells them apart and times them out.
async function check(names) {
  const results = run({ files: names.map((name) => here(name)), concurrency: 1, timeout: 300_000 })
  results.on('test:pass', () => passed++).on('test:fail', () => failed++)
  results.compose(new spec()).pipe(process.stdout)
  await once(results, 'end')
}

async function stop() {
  for (const [name, server] of servers) {
    const end = once(server, 'exit')
    server.kill('SIGTERM')
    const [code] = await within(30, `end of ${name}`, end)
    if (code !== 0) throw new Error(`${name} ended with ${code}`)
  }
}
