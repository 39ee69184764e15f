// npm start: sets up what is missing, then runs the service.
import { launch } from './launch.mjs'

await launch('scripts/holdfast.ts', ['serve', ...process.argv.slice(2)])
