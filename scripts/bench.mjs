// npm run bench -- NAME: sets up what is missing, then runs one benchmark.
import { launch } from './launch.mjs'

await launch('scripts/bench/run.ts', process.argv.slice(2))
