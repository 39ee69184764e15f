import { parseArgs } from 'node:util'
import { benchAuditService } from './audit-service.ts'
import { benchAuditVerify } from './audit-verify.ts'

/**
 * The audit log: what it costs the service, how soon a checkpoint covers an entry, and how long an
 * auditor waits.
 */
export async function benchAudit(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: { part: { type: 'string' }, entries: { type: 'string', default: '1000000' } },
  })
  const wanted = (part: string) => values.part === undefined || values.part === part
  return {
    bench: 'audit',
    ...(wanted('service') ? await benchAuditService() : {}),
    ...(wanted('verify') ? await benchAuditVerify(Number(values.entries)) : {}),
  }
}
