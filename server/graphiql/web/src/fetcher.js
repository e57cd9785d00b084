import { getOperationAST, parse } from 'graphql'
import { createClient } from 'graphql-ws'
import { parse as parseJSONC } from 'jsonc-parser'

// Queries and mutations go by POST, subscriptions by graphql-transport-ws at
// the same address.
export function createFetcher(config) {
  const http = new URL(config.endpoint, location.href)
  const ws = new URL(http)
  ws.protocol = http.protocol.replace('http', 'ws')
  // The first introspection comes before the headers editor is there to be read.
  const initial = parseJSONC(config.headers)
  return (params, { headers = initial } = {}) =>
    isSubscription(params) ? subscribe(ws, params, headers) : post(http, params, headers)
}

function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'subscription'
  } catch {
    return false // the server explains what is wrong with the document
  }
}

async function post(url, params, headers) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json;q=0.9',
      ...headers,
    },
    body: JSON.stringify(params),
  })
  const body = await response.text()
  try {
    return JSON.parse(body)
  } catch {
    return { errors: [{ message: `HTTP ${response.status}: ${body || response.statusText}` }] }
  }
}

// A subscription has a connection of its own, made with the headers as they
// are when it starts, and is not resumed behind the reader's back when it drops.
function subscribe(url, params, headers = {}) {
  const authorization = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1]
  const client = createClient({ url: url.href, connectionParams: { authorization }, retryAttempts: 0 })
  return {
    subscribe: (observer) => ({
      unsubscribe: client.subscribe(params, {
        ...observer,
        error: (cause) => observer.error(explain(cause)),
      }),
    }),
  }
}

function explain(cause) {
  if (!(cause instanceof Event)) return cause
  return { message: cause.code ? `Socket closed: ${cause.code} ${cause.reason}`.trim() : 'Socket failed' }
}
