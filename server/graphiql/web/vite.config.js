import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  base: './',
  resolve: {
    alias: {
      'monaco-editor/esm/vs/editor/edcore.main.js': here('src/monaco.js'),
      'prettier/plugins/estree': here('src/prettier-jsonc.js'),
      'prettier/parser-babel': here('src/prettier-jsonc.js'),
      'prettier/parser-graphql': 'prettier/plugins/graphql',
    },
  },
  plugins: [licenses()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    cssCodeSplit: false,
    assetsInlineLimit: 0, // the page's policy admits no font from a data: URL
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1024,
    rolldownOptions: {
      // "use client" means nothing here, and half of the packages say it.
      onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log),
      // Monaco in the layers it is built in, so that each file stays below 1 MiB
      // and none needs a later one: splitting by size makes circles that fail.
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
            { name: 'monaco-base', test: /monaco-editor\/esm\/vs\/(base|nls)/ },
            { name: 'monaco-platform', test: /monaco-editor\/esm\/vs\/platform/ },
            { name: 'monaco-common', test: /monaco-editor\/esm\/vs\/editor\/common/ },
            { name: 'monaco-browser', test: /monaco-editor\/esm\/vs\/editor\/browser/ },
            { name: 'monaco', test: /monaco-editor\/esm\/vs\/editor/ },
          ],
        },
      },
    },
  },
})

// The licences of every package the build can draw on, each text once. The lock
// file is the list: the bundler's own knows neither workers nor style sheets.
function licenses() {
  return {
    name: 'licenses',
    generateBundle() {
      const { packages } = JSON.parse(readFileSync(here('package-lock.json'), 'utf8'))
      const byText = new Map()
      for (const [path, { version, license, dev }] of Object.entries(packages)) {
        if (!path || dev) continue
        const name = `${path.replace(/.*node_modules\//, '')} ${version} (${license})`
        const files = readdirSync(here(path)).filter((file) => /^(licen[cs]e|notice|third-?party)/i.test(file))
        const text = files.map((file) => readFileSync(here(`${path}/${file}`), 'utf8').trim()).join('\n\n')
        byText.set(text, [...(byText.get(text) ?? []), name])
      }
      const source = [...byText].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`).join(`\n${'-'.repeat(80)}\n\n`)
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-LICENSES.txt', source })
    },
  }
}
