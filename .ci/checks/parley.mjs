// What the checks share: where the server is and how to sign in.
import assert from 'node:assert/strict'

export const home = new URL(process.env.PARLEY_URL)
export const graphql = new URL('/graphql', home)
export const socket = new URL(graphql)
socket.protocol = graphql.protocol.replace('http', 'ws')

export async function request(query, variables, authorization) {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(30_000),
  })
  const { data, errors } = await response.json()
  assert.equal(errors, undefined)
  return data
}

// The value of an Authorization header.
export async function signIn(email = process.env.EMAIL, password = process.env.PASSWORD) {
  const { signIn } = await request(
    `mutation ($input: SignInInput!) {
      signIn(input: $input) { accessToken refreshToken expiresAt userErrors { code field message } }
    }`,
    { input: { email, password } },
  )
  assert.deepEqual(signIn.userErrors, [])
  return `Bearer ${signIn.accessToken}`
}
