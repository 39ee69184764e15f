import { benchAuditService } from './audit-service.ts'

/** The audit log: what it costs the service, and how soon a checkpoint covers an entry. */
export async function benchAudit(): Promise<object> {
  return { bench: 'audit', ...(await benchAuditService()) }
}
