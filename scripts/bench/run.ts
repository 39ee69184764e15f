import { benchAudit } from './audit.ts'
import { benchEnroll } from './enroll.ts'
import { benchPolicy } from './policy.ts'
import { benchRecovery } from './recovery.ts'
import { benchSign } from './sign.ts'

const benchmarks: Readonly<Record<string, (args: string[]) => Promise<object>>> = {
  audit: benchAudit,
  enroll: benchEnroll,
  policy: benchPolicy,
  recovery: benchRecovery,
  sign: benchSign,
}

const usage = `Usage: npm run bench -- NAME [--json] [options]

  sign [--backend file|pkcs11] [--rounds N] [--count N] [--concurrency N]
                                                    operations signed per second through the KMS door
  audit [--part service|verify] [--entries N]       what the audit log costs, how soon it is checkpointed,
                                                    and how long it takes to verify a million entries
  policy                                            decisions per second for 200 rules and 50 officers
  recovery [--accounts N]                           what an account costs in a ceremony: verify, derive, sign, check
  enroll [--count N]                                identities taken into care from a file of audit logs

With --json, the last line is one JSON object.
`

const [name = '', ...args] = process.argv.slice(2)
const bench = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined
if (bench === undefined) {
  process.stderr.write(usage)
  process.exitCode = 2
} else {
  const result = await bench(args.filter((arg) => arg !== '--json'))
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(result)}\n`)
  else
    for (const [field, value] of Object.entries(result))
      process.stdout.write(`${field}: ${String(value)}\n`)
}
