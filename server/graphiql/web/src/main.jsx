import 'graphiql/setup-workers/vite'
import '@graphiql/react/style.css'
import '@graphiql/plugin-doc-explorer/style.css'
import 'graphiql/graphiql.css'
import '@fontsource/fira-code/400.css'
import './style.css'
import { GraphiQL } from 'graphiql'
import { Kind, parse } from 'graphql'
import { createRoot } from 'react-dom/client'
import { createFetcher } from './fetcher.js'

const config = JSON.parse(document.getElementById('config').textContent)
const operations = split(config.query)

// Tabs live in the browser's storage. Injected text that this browser has not
// been given before opens in front, beside the tabs that are there; after that
// they are found as they were left. Headers hold tokens and are never stored,
// which is why there is no history: GraphiQL's would store them.
const injected = JSON.stringify([config.query, config.variables])
const isNew = localStorage.getItem('parley:injected') !== injected
localStorage.setItem('parley:injected', injected)

createRoot(document.getElementById('root')).render(
  <GraphiQL
    fetcher={createFetcher(config)}
    defaultHeaders={config.headers}
    defaultTabs={operations.map((query) => ({ query, variables: config.variables, headers: config.headers }))}
    initialQuery={isNew ? operations[0] : undefined}
    initialVariables={isNew ? config.variables : undefined}
    shouldPersistHeaders={false}
    plugins={[]}
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>Parley</GraphiQL.Logo>
  </GraphiQL>,
)

// One tab for each operation, with the comments before it, because ▶ on several
// asks which. A document that shares fragments, or does not parse, stays whole.
function split(text) {
  try {
    const { definitions } = parse(text)
    if (definitions.some(({ kind }) => kind !== Kind.OPERATION_DEFINITION)) return [text]
    return definitions.map(({ loc }, i) => text.slice(definitions[i - 1]?.loc.end, loc.end).trim() + '\n')
  } catch {
    return [text]
  }
}
