import { parseArgs } from 'node:util'
import { callers } from './online/callers.ts'
import { UsageError, exitCodeOf } from './online/command.ts'
import type { Command } from './online/command.ts'
import { enrollCommand } from './online/enroll.ts'
import { keys } from './online/keys.ts'
import { migrateCommand, serveCommand } from './online/service.ts'

const commands: Readonly<Record<string, { readonly usage: string; readonly run: Command }>> = {
  serve: { usage: 'serve', run: serveCommand },
  migrate: { usage: 'migrate', run: migrateCommand },
  enroll: {
    usage:
      'enroll [DID…] [--from FILE] [--pds URL] [--logs FILE] [--caller NAME] [--rate N] [--refresh]',
    run: enrollCommand,
  },
  keys: { usage: 'keys list | keys create ID [--curve K-256|P-256]', run: keys },
  callers: {
    usage: 'callers list | callers add NAME [--key ID] | callers revoke ACCESS-KEY-ID',
    run: callers,
  },
  log: { usage: 'log verify FILE', run: logCommand },
}

const help = `holdfast: custody for the keys that own identities in the AT Protocol

Usage: scripts/holdfast COMMAND [--json] [--help]

${Object.values(commands)
  .map(({ usage }) => `  ${usage}`)
  .join('\n')}

Every command works while the service runs, and reads the same environment (README, Settings).
Exit codes: 0 done, 1 denied or not valid, 2 wrong usage or configuration, 3 could not run.
`

/** `log verify` needs neither database nor network, so it is loaded apart from all that does. */
async function logCommand(args: string[]): Promise<number> {
  const [verb, ...rest] = args
  if (verb !== 'verify') throw new UsageError('log verify FILE')
  const { logVerify } = await import('./online/verify/log.ts')
  return await logVerify(rest)
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
  return await command.run(rest)
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  const { code, message } = exitCodeOf(error)
  process.stderr.write(`${message}\n`)
  process.exitCode = code
}
