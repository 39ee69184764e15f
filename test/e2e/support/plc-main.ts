// The process of the PLC server. The package's own bin listens on every interface and cannot say
// which port it was given, so this main puts the unmodified app on the loopback address itself.
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Database, PlcServer } from '@did-plc/server'

const url = process.env['DATABASE_URL']
if (url === undefined) throw new Error('DATABASE_URL is not set')
const db = Database.postgres({ url })
await db.migrateToLatestOrThrow()
const { app } = PlcServer.create({ db })
let lastWrite = Promise.resolve()

/**
 * It writes in serializable transactions and answers 500 when two of them collide, whoever they are
 * about; so writes are handed to it one after the other.
 */
function inTurn(request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'POST') return void app(request, response)
  const done = new Promise<void>((resolve) => response.once('close', resolve))
  const turn = lastWrite
  lastWrite = done
  void turn.then(() => app(request, response))
}

const server = createServer(inTurn)
server.listen(0, '127.0.0.1', () => {
  process.send?.({ ready: true, port: (server.address() as AddressInfo).port })
})
const end = (): void => {
  server.closeAllConnections()
  server.close(() => void db.close().then(() => process.exit(0)))
}
process.once('SIGTERM', end)
process.once('disconnect', end)
