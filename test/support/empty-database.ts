import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { testServer } from './postgres.ts'
import type { TestDatabase } from './postgres.ts'

/** A database with nothing in it. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  const { connection, owner, url, administrator } = await testServer()
  const database = `empty_${randomBytes(8).toString('hex')}`
  const administer = async (statement: string) => {
    const admin = new Client(administrator)
    await admin.connect()
    try {
      await admin.query(statement)
    } finally {
      await admin.end()
    }
  }
  await administer(`create database ${database} owner ${owner.user}`)
  const named = new URL(url)
  named.pathname = `/${database}`
  return {
    connection: { ...connection, database },
    url: named.href,
    owner: { ...owner, database },
    administrator: { ...administrator, database },
    drop: async () => await administer(`drop database if exists ${database} with (force)`),
  }
}
