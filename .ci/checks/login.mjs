// The login to Facebook in a real browser: from the URL that Parley gives, over the simulator's consent page, back to
// Parley, and on to channels. What the browser shows is what an administrator reads.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch } from './chromium.mjs'
import { startParley } from './programs.mjs'

// Three pages, which the simulator lists two at a time.
const pages = { 101: 'Harbour Coffee', 102: 'Harbour Bakery', 103: 'Harbour Books' }
const parley = await startParley(
  '-subscribe=false', '-app-id', '1517776481860111', '-app-secret', 'secret-of-the-app', '-redirect', 'HOME/facebook/callback',
  ...Object.entries(pages).flatMap(([id, name]) => ['-page', `${id}::${name}`]),
  '-user', '2001:Ann Lee:101,102=ANALYZE,103',
)
const { home, request, signIn } = await import('./parley.mjs')
let admin, browser, page

before(async () => {
  admin = await signIn()
  const { updateSystemSettings: set } = await request(
    `mutation { updateSystemSettings(input: {settings: [
      {code: FacebookAppId, value: "1517776481860111"}, {code: FacebookAppSecret, value: "secret-of-the-app"},
      {code: FacebookWebhookVerifyToken, value: "word-of-the-webhook"}
    ]}) { userErrors { message } } }`, {}, admin,
  )
  assert.deepEqual(set.userErrors, [])
  browser = await launch()
  page = await browser.newPage()
  page.setDefaultTimeout(60_000)
})

after(async () => {
  await browser?.close()
  await parley.stop()
})

async function startLogin(input = {}) {
  const { startFacebookLogin: started } = await request(
    'mutation ($input: StartFacebookLoginInput!) { startFacebookLogin(input: $input) { login { id status } url userErrors { message } } }',
    { input }, admin,
  )
  assert.deepEqual(started.userErrors, [])
  assert.equal(started.login.status, 'STARTED')
  return { id: started.login.id, url: started.url }
}

const readLogin = async (id, as = admin) =>
  (await request(
    `query ($id: ID!) { facebookLogin(id: $id) {
      status reason userName pages { id name selectable obstacle reason channel { name } }
    } }`, { id }, as,
  )).facebookLogin

// Opens the consent page, has Ann press a button there, and gives what the browser shows then.
async function answer(url, button) {
  await page.goto(url)
  assert.match(await text(), /Parley wants to manage pages/)
  await page.getByRole('form', { name: 'Ann Lee' }).getByRole('button', { name: button }).click()
  await page.waitForURL((at) => at.host === home.host)
  return text()
}

const text = () => page.locator('body').innerText()
const notKnown = /^The login did not work\s+This login is not known here: it was used already, took longer than ten minutes, or began elsewhere\./

test('a login offers all pages, and the chosen ones become channels of their names', async () => {
  const { id, url } = await startLogin()
  assert.match(await answer(url, 'Continue'), /^You are logged in to Facebook\s+Close this window and choose your pages/)
  assert.ok(page.url().startsWith(`${home.origin}/facebook/callback?`))

  const login = await readLogin(id)
  assert.deepEqual([login.status, login.reason, login.userName], ['COMPLETED', null, 'Ann Lee'])
  const offered = login.pages.map(({ id, name, selectable, obstacle }) => [id, name, selectable, obstacle])
  assert.deepEqual(offered.sort(), [
    ['101', 'Harbour Coffee', true, null], ['102', 'Harbour Bakery', false, 'NO_MESSAGING_TASK'], ['103', 'Harbour Books', true, null],
  ])
  const reason = login.pages.find((offer) => offer.id === '102').reason
  assert.match(reason, /may not answer messages of this page/)
  const asked = (await parley.log()).filter((call) => call.path.endsWith('/me/accounts'))
  assert.ok(asked.length >= 2, 'the list of pages is not paged')

  const { connectFacebookPages: done } = await request(
    `mutation ($id: ID!) { connectFacebookPages(input: {loginId: $id, pageIds: ["101", "102", "103"]}) {
      results { pageId channel { name externalId state active } userErrors { code message } } userErrors { message }
    } }`, { id }, admin,
  )
  const channel = (externalId) => ({ name: pages[externalId], externalId, state: 'CONNECTED', active: false })
  assert.deepEqual(done, {
    results: [
      { pageId: '101', channel: channel('101'), userErrors: [] },
      { pageId: '102', channel: null, userErrors: [{ code: 'REFUSED', message: reason }] },
      { pageId: '103', channel: channel('103'), userErrors: [] },
    ],
    userErrors: [],
  })
  const { channels } = await request('{ channels { nodes { name } } }', {}, admin)
  assert.deepEqual(channels.nodes.map(({ name }) => name), ['Harbour Books', 'Harbour Coffee'])
  assert.deepEqual((await readLogin(id)).pages.filter(({ obstacle }) => obstacle === 'ALREADY_CONNECTED').length, 2)
})

test('a callback works once', async () => {
  const { id, url } = await startLogin()
  await answer(url, 'Continue')
  const response = await page.reload()
  assert.equal(response.status(), 400)
  assert.match(await text(), notKnown)
  assert.equal((await readLogin(id)).status, 'COMPLETED', 'the second time took the login away')
})

test('a state that began elsewhere is not known, and leaves the login alone', async () => {
  const { id, url } = await startLogin()
  const foreign = new URL('/facebook/callback?code=AQ&state=', home)
  for (const state of ['', 'STATEOFANOTHERINSTALLATION', id]) {
    foreign.searchParams.set('state', state)
    const response = await page.goto(foreign.href)
    assert.equal(response.status(), 400)
    assert.match(await text(), notKnown)
  }
  assert.match(await answer(url, 'Continue'), /^You are logged in to Facebook/)
})

test('a login is for who started it alone', async () => {
  const { id, url } = await startLogin()
  await answer(url, 'Continue')
  await request(
    `mutation { createOperator(input: {email: "other@check.example", name: "Other", role: ADMIN, password: "another password"}) { userErrors { message } } }`,
    {}, admin,
  )
  const other = await signIn('other@check.example', 'another password')
  assert.equal(await readLogin(id, other), null)
  const { connectFacebookPages: refused } = await request(
    'mutation ($id: ID!) { connectFacebookPages(input: {loginId: $id, pageIds: ["101"]}) { results { pageId } userErrors { code field } } }',
    { id }, other,
  )
  assert.deepEqual(refused, { results: [], userErrors: [{ code: 'NOT_FOUND', field: 'loginId' }] })
})

test('cancelling at Facebook is said, and the login has failed', async () => {
  const { id, url } = await startLogin()
  assert.match(await answer(url, 'Cancel'), /^The login did not work\s+The login was cancelled at Facebook\./)
  const { status, reason, pages } = await readLogin(id)
  assert.equal(status, 'FAILED')
  assert.match(reason, /^The login was cancelled at Facebook\./)
  assert.deepEqual(pages, [])
})

test('the browser is sent to where the login said, with its id and how it went', async () => {
  const back = new URL('/healthz?screen=channels', home)
  for (const [button, status] of [['Continue', 'COMPLETED'], ['Cancel', 'FAILED']]) {
    const { id, url } = await startLogin({ returnTo: back.href })
    await answer(url, button)
    const at = new URL(page.url())
    assert.equal(at.pathname, '/healthz')
    assert.deepEqual(Object.fromEntries(at.searchParams), { screen: 'channels', facebookLogin: id, status })
  }
})

test('an address that the app does not allow is said by Facebook, before anybody logs in', async () => {
  await parley.sim('apps/1517776481860111', { redirect_uris: ['https://elsewhere.example/facebook/callback'] })
  const { url } = await startLogin()
  await page.goto(url)
  assert.match(await text(), /URL blocked/)
  await parley.sim('apps/1517776481860111', { redirect_uris: [`${home.origin}/facebook/callback`] })
})

test('a code that has expired is said, and the login has failed', async () => {
  const { id, url } = await startLogin()
  await page.goto(url)
  // As the form would be sent, but the browser takes its time to follow.
  const sent = await page.request.post(url, { form: { user: '2001', page: 'all', act: 'continue' }, maxRedirects: 0 })
  await parley.sim('clock', { advance_ms: 11 * 60_000 })
  await page.goto(sent.headers().location)
  assert.match(await text(), /^The login did not work\s+This Facebook login took too long; start a new one\./)
  assert.equal((await readLogin(id)).status, 'FAILED')
})
