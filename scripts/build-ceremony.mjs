// npm run build:ceremony: sets up what is missing, then writes dist/holdfast-ceremony.mjs.
import { launch } from './launch.mjs'

await launch('scripts/build-ceremony.ts', process.argv.slice(2))
