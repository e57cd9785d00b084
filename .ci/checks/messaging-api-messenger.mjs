// Checks the Graph API simulator with a client that others wrote: npm messaging-api-messenger@1.1.0.
//
// SIM_URL is the address of a fresh simulator (go run ./server/messenger/messengersim). Exits non-zero on failure.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import messagingApiMessenger from 'messaging-api-messenger';

const { MessengerClient } = messagingApiMessenger;
const origin = process.env.SIM_URL?.replace(/\/$/, '');
assert.ok(origin, 'SIM_URL is not set');

async function sim(method, path, body) {
  const response = await fetch(`${origin}/_sim/${path}`, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  assert.ok(response.ok, `${path}: ${JSON.stringify(answer)}`);
  return answer;
}

// A webhook endpoint that keeps what it is sent and checks the older signature, as many receivers still do.
const received = [];
const appSecret = 'check-secret';
const receiver = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (request.method === 'GET') {
    response.statusCode = url.searchParams.get('hub.verify_token') === 'check' ? 200 : 403;
    response.end(url.searchParams.get('hub.challenge'));
    return;
  }
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    const signature = `sha1=${createHmac('sha1', appSecret).update(body).digest('hex')}`;
    received.push({ signed: signature === request.headers['x-hub-signature'], post: JSON.parse(body) });
    response.end();
  });
});
await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));

try {
  const app = await sim('POST', 'apps', { id: '777000777000777', secret: appSecret, name: 'Check', require_proof: true });
  const page = await sim('POST', 'pages', { name: 'Checked page', app_id: app.id });
  const person = await sim('POST', `pages/${page.id}/people`, { first_name: 'Zoë', last_name: 'Weiß', locale: 'de_DE' });
  const closed = await sim('POST', `pages/${page.id}/people`, { profile: 'none' });
  const client = new MessengerClient({ accessToken: page.token, appId: app.id, appSecret, origin, version: '26.0' });

  await check('page info', async () => {
    assert.deepEqual(await client.getPageInfo(), { id: page.id, name: 'Checked page' });
  });

  await check('token', async () => {
    // With a proof this call cannot succeed: the client makes the proof for the page's token and sends the app's.
    const admin = new MessengerClient({ accessToken: page.token, appId: app.id, appSecret, origin, skipAppSecretProof: true });
    const token = await admin.debugToken();
    assert.equal(token.isValid, true);
    assert.equal(token.appId, app.id);
  });

  await check('app subscription', async () => {
    const callbackUrl = `http://127.0.0.1:${receiver.address().port}/hook`;
    const wrong = client.createSubscription({ callbackUrl, verifyToken: 'no' });
    await assert.rejects(wrong, /2200/);
    const fields = ['messages', 'message_echoes', 'message_deliveries', 'messaging_postbacks'];
    assert.deepEqual(await client.createSubscription({ callbackUrl, verifyToken: 'check', fields }), { success: true });
    const subscription = await client.getPageSubscription();
    assert.equal(subscription.callbackUrl, callbackUrl);
    assert.deepEqual(subscription.fields.map((field) => field.name), fields);
  });

  await check('page subscription', async () => {
    const params = { access_token: page.token, subscribed_fields: 'messages,message_echoes,message_deliveries,messaging_postbacks' };
    assert.deepEqual((await client.axios.post(`/${page.id}/subscribed_apps`, params)).data, { success: true });
    const { data } = await client.axios.get(`/${page.id}/subscribed_apps`, { params: { access_token: page.token } });
    assert.equal(data.data[0].id, app.id);
    assert.equal(data.data[0].subscribedFields.length, 4);
  });

  await check('profile', async () => {
    const profile = await client.getUserProfile(person.id);
    assert.equal(profile.name, 'Zoë Weiß');
    assert.equal(profile.firstName, 'Zoë');
    const picture = await fetch(profile.profilePic);
    assert.equal(picture.headers.get('content-type'), 'image/png');
    await assert.rejects(client.getUserProfile(closed.id), /No profile available/);
  });

  await check('outside the window', async () => {
    await assert.rejects(client.sendText(person.id, 'Hello'), /outside of allowed window/);
  });

  await check('sending inside the window', async () => {
    await sim('POST', `pages/${page.id}/people/${person.id}/writes`, { text: 'Grüße 👋', count: 2 });
    const text = await client.sendText(person.id, 'Hello', { messagingType: 'RESPONSE' });
    assert.equal(text.recipientId, person.id);
    assert.match(text.messageId, /^m_/);
    const image = await client.sendImage(person.id, 'https://example.com/1.png');
    await client.sendButtonTemplate(person.id, 'Choose', [{ type: 'postback', title: 'One', payload: '1' }]);
    await client.sendText(person.id, 'Pick', { quickReplies: [{ contentType: 'text', title: 'Red', payload: 'RED' }] });
    assert.deepEqual(await client.typingOn(person.id), { recipientId: person.id });
    await client.markSeen(person.id);
    const sent = await sim('GET', 'sent');
    assert.equal(sent.length, 4);
    assert.deepEqual(sent.slice(0, 2).map((message) => message.mid), [text.messageId, image.messageId]);
    await assert.rejects(client.sendText(person.id, 'x'.repeat(2001)), /less than or equal to 2000/);
    await assert.rejects(client.sendText('12345', 'Hello'), /No matching user found/);
  });

  await check('webhooks', async () => {
    await sim('POST', 'settle');
    assert.ok(received.every(({ signed }) => signed), 'a post is not signed');
    const events = received.flatMap(({ post }) => post.entry).flatMap((entry) => entry.messaging);
    const texts = events.filter((event) => event.message && !event.message.is_echo).map((event) => event.message.text);
    assert.deepEqual(texts, ['Grüße 👋', 'Grüße 👋 2']);
    assert.equal(events.filter((event) => event.message?.is_echo && event.message.app_id === Number(app.id)).length, 4);
    assert.equal(events.filter((event) => event.delivery).length, 4);
  });

  await check('faults', async () => {
    await sim('POST', 'faults', { path: '/messages', code: 190, subcode: 460 });
    await assert.rejects(client.sendText(person.id, 'Hello'), /190 OAuthException .*changed their password/);
    await sim('POST', 'faults', { path: '/messages', mode: 'html', accepted: true });
    await assert.rejects(client.sendText(person.id, 'Hello'), /502/);
    const stranger = new MessengerClient({ accessToken: page.token, origin });
    await assert.rejects(stranger.getPageInfo(), /appsecret_proof/);
  });
} catch (error) {
  console.error(`not ok - ${error.message}`); // not the error itself: axios hangs the whole connection on it
  process.exitCode = 1;
} finally {
  receiver.close();
}

async function check(name, run) {
  try {
    await run();
    console.log(`ok - ${name}`);
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}
