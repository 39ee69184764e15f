import { DirectoryError } from '../directory/directory.ts'
import type { PlcDirectory } from '../directory/directory.ts'
import { PlcError } from '../plc/error.ts'
import { verifyLog } from '../plc/log.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { EcdsaVerify } from '../plc/signature.ts'

const READ_DEADLINE_MS = 8_000

/**
 * An identity's log, read now and verified from its genesis on.
 * @throws DirectoryError; `malformed` for a log that does not verify
 */
export async function readVerifiedLog(
  did: string,
  {
    directory,
    verify,
    signal,
  }: { directory: PlcDirectory; verify: EcdsaVerify; signal?: AbortSignal },
): Promise<VerifiedLog> {
  const deadline = AbortSignal.timeout(READ_DEADLINE_MS)
  const log = await directory.getLog(
    did,
    signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
  )
  try {
    return await verifyLog(did, log, verify)
  } catch (cause) {
    if (!(cause instanceof PlcError)) throw cause
    throw new DirectoryError('malformed', `the log of ${did} does not verify: ${cause.message}`, {
      cause,
    })
  }
}
