// A process of its own that opens a private server, says so, and releases it when stdin ends.
import { openPrivateServer } from '../../src/store/private-server.ts'
import { silentLog } from './data-dir.ts'

const server = await openPrivateServer({ dataDir: process.argv[2] ?? '', log: silentLog })
process.stdout.write('open\n')
process.stdin.resume().once('end', () => void server.release())
