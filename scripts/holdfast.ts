import { parseArgs } from 'node:util'
import { exitCodeOf } from './online/command.ts'
import type { Command } from './online/command.ts'

/** Each is loaded when it is asked for: `log verify` needs neither database nor network. */
const commands: Readonly<
  Record<string, { readonly usage: string; readonly load: () => Promise<Command> }>
> = {
  serve: {
    usage: 'serve',
    load: async () => (await import('./online/service.ts')).serveCommand,
  },
  migrate: {
    usage: 'migrate',
    load: async () => (await import('./online/service.ts')).migrateCommand,
  },
  enroll: {
    usage:
      'enroll [DID…] [--from FILE] [--pds URL] [--logs FILE] [--caller NAME] [--rate N] [--refresh]',
    load: async () => (await import('./online/enroll.ts')).enrollCommand,
  },
  keys: {
    usage:
      'keys list [--token URI] | keys create ID [--curve K-256|P-256] [--token URI] | ' +
      'keys import ID --from FILE|- [--curve K-256|P-256] [--token URI] | keys check [ID] | ' +
      'keys retire ID | keys unlatch SERIAL [--same-pin]',
    load: async () => (await import('./online/keys.ts')).keys,
  },
  callers: {
    usage: 'callers list | callers add NAME [--key ID] [--pds URL] | callers revoke ACCESS-KEY-ID',
    load: async () => (await import('./online/callers.ts')).callers,
  },
  policy: {
    usage:
      'policy check [DIR] | policy diff OLD-DIR NEW-DIR [--replay EXPORT-DIR] | policy explain [DIR] --from-file OP.json --caller NAME --key ID [--log FILE | --did DID] | ' +
      'policy propose FILE --proposer ID | policy approve|reject FILE --key-file FILE|--token URI | policy adopt [FILE] [--accepted FILE]…',
    load: async () => (await import('./online/policy.ts')).policy,
  },
  audit: {
    usage:
      'audit export DIR | audit verify DIR [--trust CARD] [--checkpoint FILE] [--max-age D] | ' +
      'audit proof INDEX | audit proof verify FILE --trust CARD | audit restore DIR | audit fork FILE | audit fork approve FILE | audit reconcile',
    load: async () => auditCommand,
  },
  backup: {
    usage: 'backup DIR [--check]',
    load: async () => (await import('./online/backup.ts')).backup,
  },
  trust: {
    usage: 'trust init [--accepted FILE]… | trust show',
    load: async () => (await import('./online/trust.ts')).trust,
  },
  freeze: {
    usage: 'freeze [--caller NAME|--key ID] [--key-file FILE|--token URI]',
    load: async () => (await import('./online/trust/freeze.ts')).freeze,
  },
  thaw: {
    usage: 'thaw [FILE] [--proposer ID] | thaw approve FILE --key-file FILE|--token URI',
    load: async () => (await import('./online/trust/thaw.ts')).thaw,
  },
  officers: {
    usage:
      'officers add PERSON --did DID-KEY|--passkey FILE [--org ORG] [--role ROLE]… --proposer ID --out FILE | officers remove PERSON --proposer ID --out FILE | ' +
      'officers list | officers contact PERSON --email ADDRESS | officers contact PERSON --remove | ' +
      'officers keygen --out FILE|--token URI [--curve P-256|K-256] | ' +
      'officers accept --out FILE --key-file FILE|--token URI [--policies DIR] | ' +
      'officers invite PERSON [--accept [--credential ID]] | officers invited [PERSON [--out FILE]]',
    load: async () => officersCommand,
  },
  requests: {
    usage:
      'requests list | requests show ID [--operation] | requests propose --key ID --from-file FILE | requests propose --again ID | ' +
      'requests sign|submit|cancel ID | ' +
      'requests approve|reject|cancel ID --key-file FILE|--token URI [--policies DIR] [--plc-url URL|--log FILE]',
    load: async () => (await import('./online/requests.ts')).requests,
  },
  recovery: {
    usage:
      'recovery plan BUNDLE --env prod|rehearsal --lost KEY --replacement ID … | ' +
      'recovery approve BUNDLE --trust CARD --key-file FILE|--token URI | ' +
      'recovery import --trust CARD BUNDLE RESULT | recovery submit CEREMONY [--rate N] | ' +
      'recovery status [CEREMONY] [--list STATE]',
    load: async () => (await import('./online/recovery.ts')).recovery,
  },
  drill: {
    usage: 'drill [--accounts N]',
    load: async () => (await import('./drill/drill.ts')).drill,
  },
  log: {
    usage: 'log history DID | log data DID | log verify FILE',
    load: async () => logCommand,
  },
}

const help = `holdfast: custody for the keys that own identities in the AT Protocol

Usage: scripts/holdfast COMMAND [--json] [--help]

${Object.values(commands)
  .map(({ usage }) => `  ${usage}`)
  .join('\n')}

Every command works while the service runs, and reads the same environment (README, Settings).
Exit codes: 0 done, 1 denied or not valid, 2 wrong usage or configuration, 3 could not run.
`

async function logCommand(args: string[]): Promise<number> {
  const [verb, ...rest] = args
  if (verb !== 'verify') return await (await import('./online/log.ts')).log(args)
  const { logVerify } = await import('./online/verify/log.ts')
  return await logVerify(rest)
}

/** An officer's own machine has no database. */
async function officersCommand(args: string[]): Promise<number> {
  const [verb, ...rest] = args
  if (verb === 'keygen') return await (await import('./online/officers/keygen.ts')).keygen(rest)
  if (verb === 'accept') return await (await import('./online/officers/accept.ts')).accept(rest)
  if (verb === 'invite') return await (await import('./online/trust/invite.ts')).invite(rest)
  if (verb === 'invited') return await (await import('./online/trust/invited.ts')).invited(rest)
  return await (await import('./online/officers.ts')).officers(args)
}

/** What an auditor runs needs neither database nor network. */
async function auditCommand(args: string[]): Promise<number> {
  if (args[0] === 'verify') {
    return await (await import('./online/verify/audit/verify.ts')).auditVerify(args.slice(1))
  }
  if (args[0] === 'proof' && args[1] === 'verify') {
    return (await import('./online/verify/audit/proof.ts')).auditProofVerify(args.slice(2))
  }
  return await (await import('./online/audit.ts')).audit(args)
}

async function run(args: string[]): Promise<number> {
  const [name = '', ...rest] = args
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const wanted =
      name === '' ||
      parseArgs({ args: [name], strict: false }).values['help'] === true ||
      name === 'help'
    ;(wanted ? process.stdout : process.stderr).write(
      wanted ? help : `no command ${JSON.stringify(name)}\n\n${help}`,
    )
    return wanted ? 0 : 2
  }
  if (rest.includes('--help')) {
    process.stdout.write(`Usage: scripts/holdfast ${command.usage} [--json]\n`)
    return 0
  }
  return await (
    await command.load()
  )(rest)
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  const { code, message } = exitCodeOf(error)
  process.stderr.write(`${message}\n`)
  process.exitCode = code
}
