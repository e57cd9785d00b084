import 'graphiql/setup-workers/vite'
import '@graphiql/react/style.css'
import '@graphiql/plugin-doc-explorer/style.css'
import '@graphiql/plugin-history/style.css'
import 'graphiql/graphiql.css'
import './style.css'
import { GraphiQL } from 'graphiql'
import { createRoot } from 'react-dom/client'
import { createFetcher } from './fetcher.js'

const config = JSON.parse(document.getElementById('config').textContent)

// Tabs live in the browser's storage. An injected query that this browser has
// not been given before opens in a tab of its own, in front; after that the
// tabs are found as they were left. Headers hold tokens and are never stored.
const injected = JSON.stringify([config.query, config.variables])
const isNew = localStorage.getItem('parley:injected') !== injected
localStorage.setItem('parley:injected', injected)

createRoot(document.getElementById('root')).render(
  <GraphiQL
    fetcher={createFetcher(config)}
    defaultHeaders={config.headers}
    defaultQuery={config.query || undefined}
    initialQuery={(isNew && config.query) || undefined}
    initialVariables={(isNew && config.variables) || undefined}
    shouldPersistHeaders={false}
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>Parley</GraphiQL.Logo>
  </GraphiQL>,
)
