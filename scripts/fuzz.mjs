// npm run fuzz -- N: sets up what is missing, then sends generated input to the parser and the doors.
import { launch } from './launch.mjs'

await launch('scripts/fuzz/run.ts', process.argv.slice(2))
