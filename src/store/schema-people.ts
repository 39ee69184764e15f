import { sql } from 'drizzle-orm'
import {
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { NewNotice, NoticeKind } from '../notify/notice.ts'
import { at, bytea } from './schema-types.ts'

/** What people must hear of. Without names and addresses: those stand in `contacts` alone. */
export const notices = pgTable(
  'notices',
  {
    id: uuid().primaryKey(),
    kind: text().$type<NoticeKind>().notNull(),
    event: text().notNull(),
    subject: text().notNull(),
    detail: jsonb().$type<NewNotice['detail']>().notNull(),
    createdAt: at('created_at').notNull(),
  },
  (table) => [
    // The same event about the same subject is told once.
    uniqueIndex('notices_once').on(table.event, table.subject),
    index('notices_age').on(table.createdAt),
  ],
)

/** A notice on its way to one receiver: `webhook:ID` or `mail:PERSON`. */
export const noticeDeliveries = pgTable(
  'notice_deliveries',
  {
    noticeId: uuid('notice_id').notNull(),
    target: text().notNull(),
    deliveredAt: at('delivered_at'),
    attempts: integer().notNull().default(0),
    /** Not before this; an instance that takes one moves it on, so that no other does. */
    dueAt: at('due_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.noticeId, table.target] }),
    index('notice_deliveries_due')
      .on(table.target, table.dueAt)
      .where(sql`${table.deliveredAt} is null`),
  ],
)

/**
 * One-time links under which a person makes a passkey, or signs a roster with one: of each only the hash of
 * its token. What is asked and answered is sealed; a row gives no right, a roster does.
 */
export const invitations = pgTable(
  'invitations',
  {
    tokenHash: bytea('token_hash').primaryKey(),
    asked: bytea().notNull(),
    /** null: not used yet. */
    answer: bytea(),
    createdAt: at('created_at').notNull(),
    until: at('until').notNull(),
  },
  (table) => [index('invitations_age').on(table.createdAt)],
)

/** Names and addresses of persons, who are opaque ids everywhere else. A row may go at any time. */
export const contacts = pgTable('contacts', {
  person: text().primaryKey(),
  email: text().notNull(),
  /** When the last digest was begun. */
  mailedAt: at('mailed_at'),
})
