import { exitCodeOf } from './offline/command.ts'
import type { Command } from './offline/command.ts'
import { checkShares, checkSharesUsage } from './offline/check-shares.ts'
import { digest, digestUsage } from './offline/digest.ts'
import { identity, identityUsage } from './offline/identity.ts'
import { keygen, keygenUsage } from './offline/keygen.ts'
import { checkProof, checkProofUsage, prove, proveUsage } from './offline/prove.ts'
import { inspect, inspectUsage } from './offline/recovery/inspect.ts'
import { sign, signUsage } from './offline/recovery/sign.ts'
import { verify, verifyUsage } from './offline/recovery/verify.ts'
import { split, splitUsage } from './offline/split.ts'
import { unlatchCommand, unlatchUsage } from './offline/unlatch.ts'

const commands: Readonly<Record<string, { readonly usage: string; readonly run: Command }>> = {
  keygen: { usage: keygenUsage, run: keygen },
  split: { usage: splitUsage, run: split },
  'check-shares': { usage: checkSharesUsage, run: checkShares },
  prove: { usage: proveUsage, run: prove },
  'check-proof': { usage: checkProofUsage, run: checkProof },
  inspect: { usage: inspectUsage, run: inspect },
  sign: { usage: signUsage, run: sign },
  verify: { usage: verifyUsage, run: verify },
  identity: { usage: identityUsage, run: identity },
  digest: { usage: digestUsage, run: digest },
  unlatch: { usage: unlatchUsage, run: unlatchCommand },
}

const help = `ceremony: the offline side of Holdfast, for a machine without a network

Usage: scripts/ceremony COMMAND [--help]

${Object.values(commands)
  .map(({ usage }) => `  ${usage}`)
  .join('\n')}

Passphrases and PINs are asked for, or read line by line from standard input; never arguments.
Exit codes: 0 done, 1 refused or not valid, 2 wrong usage, 3 could not run.
`

async function run([name = '', ...rest]: string[]): Promise<number> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const isAsked = ['', 'help', '--help', '-h'].includes(name)
    ;(isAsked ? process.stdout : process.stderr).write(
      isAsked ? help : `no command ${JSON.stringify(name)}\n\n${help}`,
    )
    return isAsked ? 0 : 2
  }
  if (rest.includes('--help')) {
    process.stdout.write(`Usage: scripts/ceremony ${command.usage}\n`)
    return 0
  }
  return await command.run(rest, process.env)
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  const { code, message } = exitCodeOf(error)
  process.stderr.write(`${message}\n`)
  process.exitCode = code
}
