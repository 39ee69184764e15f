// npm run fuzz -- NAME: sets up what is missing, then runs one fuzzer.
import { launch } from './launch.mjs'

await launch('scripts/fuzz/run.ts', process.argv.slice(2))
