// The programs that the checks run against. run.mjs builds them into the folder $PROGRAMS.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { within } from './within.mjs'

const running = new Map()

// Starts a program and gives the match of what it prints when it is ready.
export async function start(name, args, ready, options) {
  const program = spawn(join(process.env.PROGRAMS, name), args, { cwd: process.env.PROGRAMS, stdio: ['ignore', 'pipe', 'inherit'], ...options })
  running.set(name, program)
  let printed = ''
  const match = new Promise((resolve, reject) => {
    program.on('error', reject).on('exit', (code) => reject(new Error(`${name} ended with ${code}`)))
    program.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text
      const found = ready.exec(printed)
      if (found) resolve(found)
    })
  })
  return within(60, `ready ${name}`, match)
}

// Ends all programs, which have to end well.
export async function stop() {
  for (const [name, program] of running) {
    const end = once(program, 'exit')
    program.kill('SIGTERM')
    const [code] = await within(30, `end of ${name}`, end)
    running.delete(name)
    if (code !== 0) throw new Error(`${name} ended with ${code}`)
  }
}

// No program outlives the process, however that ends.
process.on('exit', () => running.forEach((program) => program.kill('SIGKILL')))
process.on('SIGTERM', () => process.exit(1))

// Starts a simulator, and a Parley as in production that takes it for Facebook and knows no Facebook app yet. HOME in a
// flag is Parley's address. Gives what controls the simulator, what it was asked, and what stops both; sets $PARLEY_URL
// and, of the administrator, $EMAIL and $PASSWORD.
export async function startParley(...simulated) {
  const folder = await mkdtemp(join(tmpdir(), 'parley-check-'))
  const home = `http://127.0.0.1:${await freePort()}`
  const [, facebook] = await start('messengersim', ['-addr', '127.0.0.1:0', ...simulated.map((flag) => flag.replace('HOME', home))], /^Graph API on (.*)\n/m)
  const [EMAIL, PASSWORD] = ['admin@check.example', 'a password of the check']
  await start('server', [], /^First start\. Administrator: /m, {
    cwd: folder,
    env: {
      PATH: process.env.PATH, PARLEY_ADDR: new URL(home).host, PARLEY_PUBLIC_URL: home, PARLEY_DATA: folder, PARLEY_PRODUCTION: 'true',
      PARLEY_LOG: 'json', PARLEY_LOG_LEVEL: 'warn', PARLEY_GRAPH_URL: facebook, PARLEY_FACEBOOK_URL: facebook,
      PARLEY_ADMIN_EMAIL: EMAIL, PARLEY_ADMIN_PASSWORD: PASSWORD,
    },
  })
  Object.assign(process.env, { PARLEY_URL: home, EMAIL, PASSWORD })
  return {
    async sim(path, body = {}) {
      const response = await fetch(`${facebook}/_sim/${path}`, { method: 'POST', body: JSON.stringify(body) })
      const answer = await response.json()
      if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`)
      return answer
    },
    log: async () => (await fetch(`${facebook}/_sim/log`)).json(),
    async stop() {
      await stop()
      await rm(folder, { recursive: true })
    },
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
