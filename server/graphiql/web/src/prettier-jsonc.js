// Stands in for prettier's two JavaScript plugins, which GraphiQL loads only to
// format variables and headers: half a megabyte for what jsonc-parser does.
import { applyEdits, format } from 'jsonc-parser'

const options = { tabSize: 2, insertSpaces: true, keepLines: false }

export const parsers = {
  jsonc: {
    parse: (text) => ({ text: applyEdits(text, format(text, undefined, options)) }),
    astFormat: 'jsonc',
    locStart: () => 0,
    locEnd: ({ text }) => text.length,
  },
}

export const printers = { jsonc: { print: (path) => path.node.text } }
