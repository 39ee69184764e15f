/**
 * What the application's role may do, and nothing beyond: granted by `migrate`, proven by the
 * self-test. `update` names columns; a lock (`for update`) needs one, so some are named for that only.
 */
export type TablePrivileges = {
  readonly table: readonly TablePrivilege[]
  readonly update: readonly string[]
}

export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'

/** Every privilege on a table that Postgres knows; the last one since version 17. */
export const tablePrivileges = [
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'TRUNCATE',
  'REFERENCES',
  'TRIGGER',
  'MAINTAIN',
] as const

const appendOnly: TablePrivileges = { table: ['SELECT', 'INSERT'], update: [] }

export const applicationPrivileges: Readonly<Record<string, TablePrivileges>> = {
  // A lock before its deletion needs a column.
  audit_outbox: { table: ['SELECT', 'INSERT', 'DELETE'], update: ['id'] },
  audit_entries: appendOnly,
  audit_tiles: appendOnly,
  audit_head: { table: ['SELECT'], update: ['epoch', 'size', 'peaks'] },
  audit_checkpoint: { table: ['SELECT'], update: ['size', 'note'] },
  policy_sets: appendOnly,
  caller_credentials: { table: ['SELECT', 'INSERT'], update: ['serial'] },
  identities: { table: ['SELECT', 'INSERT'], update: ['did'] },
  operations: { table: ['SELECT', 'INSERT'], update: ['nullified'] },
  // Neither what was asked for nor by whom.
  requests: {
    table: ['SELECT', 'INSERT'],
    update: [
      'cid',
      'decision',
      'did',
      'intended_at',
      'lease',
      'lease_until',
      'operation_class',
      'policy',
      'produced_at',
      'replaces',
      'rules',
      'signature',
      'state',
    ],
  },
  // Neither who asked nor who was asked.
  quorums: { table: ['SELECT', 'INSERT'], update: [] },
  approvals: {
    table: ['SELECT', 'INSERT'],
    update: ['statement', 'evidence', 'nonce', 'recorded_at'],
  },
  officer_calls: { table: ['SELECT', 'INSERT', 'DELETE'], update: [] },
  denial_counts: { table: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], update: [] },
  submissions: { table: ['SELECT', 'INSERT', 'UPDATE'], update: [] },
  ceremonies: { table: ['SELECT', 'INSERT'], update: ['complete'] },
  // Neither what was signed nor for whom.
  ceremony_operations: {
    table: ['SELECT', 'INSERT'],
    update: ['changed_at', 'detail', 'not_before', 'state'],
  },
  witnesses: { table: ['SELECT', 'INSERT'], update: ['size'] },
  cosigned_checkpoint: { table: ['SELECT', 'INSERT'], update: ['size', 'note'] },
  followed: { table: ['SELECT', 'INSERT'], update: ['cursor'] },
  account_searches: { table: ['SELECT', 'INSERT', 'UPDATE'], update: [] },
  listed_accounts: { table: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], update: [] },
  notices: { table: ['SELECT', 'INSERT', 'DELETE'], update: [] },
  notice_deliveries: { table: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], update: [] },
  invitations: { table: ['SELECT', 'INSERT', 'DELETE'], update: ['answer'] },
  contacts: { table: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], update: [] },
}

/** Of the columns that number themselves. */
export const applicationSequences: Readonly<Record<string, readonly ('USAGE' | 'SELECT')[]>> = {
  audit_outbox_id_seq: ['USAGE', 'SELECT'],
  policy_sets_id_seq: ['USAGE'],
  listed_accounts_position_seq: ['USAGE'],
}
