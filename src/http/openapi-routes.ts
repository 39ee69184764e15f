import type { z } from 'zod'
import { checkpointView, entriesQuery, entryIndex, entryList } from '../api/audit.ts'
import { freezeBody, freezeView } from '../api/freeze.ts'
import { health, readiness } from '../api/health.ts'
import { keyList } from '../api/key.ts'
import type { ProblemCode } from '../api/problem.ts'
import { listQuery, proposal, requestId, requestList, requestView, saying } from '../api/request.ts'

export type DescribedAnswer = {
  readonly description: string
  /** JSON of this schema; null: what `mediaType` says. */
  readonly schema: z.ZodType | null
  readonly mediaType?: string
}

export type DescribedRoute = {
  readonly method: 'get' | 'post'
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  /** Answered to everyone. */
  readonly open?: true
  readonly id?: z.ZodType
  /** What the path calls it, where that is not `id`. */
  readonly idName?: string
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  readonly optionalBody?: z.ZodType
  readonly answers: Readonly<Record<number, DescribedAnswer>>
  readonly problems: readonly ProblemCode[]
}

const withCaller = ['malformed', 'unauthenticated', 'too-large', 'internal', 'busy'] as const
const forOfficers = [...withCaller, 'forbidden', 'not-found', 'unsupported-media-type'] as const
const shown = (description: string): DescribedAnswer => ({ description, schema: requestView })

/** Every route of the JSON API, and the open ones beside it. `/kms` is AWS's protocol, described by AWS. */
export const describedRoutes: readonly DescribedRoute[] = [
  {
    method: 'post',
    path: '/v1/requests',
    operationId: 'proposeRequest',
    summary: 'Propose a PLC operation',
    description:
      'Judges it and keeps it; no key is used. The same bytes by the same caller for the same key are ' +
      'the same request, whatever became of it, unless it ended without a signature.',
    body: proposal,
    answers: { 201: shown('a rule allows it'), 202: shown('it waits for approval') },
    problems: [...withCaller, 'denied', 'rejected', 'not-found', 'unsupported-media-type'],
  },
  {
    method: 'get',
    path: '/v1/requests',
    operationId: 'listRequests',
    summary:
      "The caller's requests, newest first; an officer's are those that officers were asked about",
    query: listQuery,
    answers: { 200: { description: 'one page', schema: requestList } },
    problems: withCaller,
  },
  {
    method: 'get',
    path: '/v1/requests/{id}',
    operationId: 'readRequest',
    summary: 'One request',
    id: requestId,
    answers: { 200: shown('as it stands') },
    problems: [...withCaller, 'not-found'],
  },
  {
    method: 'post',
    path: '/v1/requests/{id}/sign',
    operationId: 'signRequest',
    summary: 'Use the key, or get the recorded signature again',
    description: 'The rules judge it once more, at the head of today.',
    id: requestId,
    answers: {
      200: shown('signed'),
      202: shown('it waits for approval, or is being signed by another call: ask again'),
    },
    problems: [...withCaller, 'denied', 'rejected', 'not-found', 'conflict'],
  },
  {
    method: 'post',
    path: '/v1/requests/{id}/submit',
    operationId: 'submitRequest',
    summary: 'Send the signed operation to the PLC directory',
    description:
      'The log is read before and after. What holds is said by `state`: `confirmed` when the log shows ' +
      'the operation, whatever the directory answered; `submitted` when it was accepted and the log ' +
      'could not be read since; `returned` after a refusal (200) or without an answer (202), both in ' +
      '`submission`. It may be repeated. An officer sends on what any caller had signed; during a freeze ' +
      'nobody else does, nor the officer who froze (`FROZEN`).',
    id: requestId,
    answers: {
      200: shown('confirmed, or refused by the directory'),
      202: shown('accepted and not seen in the log yet, or not answered'),
    },
    problems: [...withCaller, 'denied', 'not-found', 'conflict', 'stale'],
  },
  {
    method: 'post',
    path: '/v1/requests/{id}/approvals',
    operationId: 'approveRequest',
    summary: 'An officer approves',
    description:
      'By a statement that they signed, in a call that they signed. It is kept verbatim, and verified ' +
      'again whenever it counts. The same one again changes nothing.',
    id: requestId,
    body: saying,
    answers: { 200: shown('with what is still missing') },
    problems: [...forOfficers, 'conflict', 'void'],
  },
  {
    method: 'post',
    path: '/v1/requests/{id}/rejections',
    operationId: 'rejectRequest',
    summary: 'An officer rejects, for good',
    id: requestId,
    body: saying,
    answers: { 200: shown('rejected') },
    problems: [...forOfficers, 'conflict', 'void'],
  },
  {
    method: 'post',
    path: '/v1/requests/{id}/cancel',
    operationId: 'cancelRequest',
    summary: 'Take back a request for which no key was used',
    description:
      'A caller its own, without a body. An officer any one, also while it waits for its delay: by a ' +
      'rejection that they signed, which is final.',
    id: requestId,
    optionalBody: saying,
    answers: { 200: shown('cancelled, or rejected') },
    problems: [...withCaller, 'not-found', 'conflict', 'void', 'unsupported-media-type'],
  },
  {
    method: 'post',
    path: '/v1/freeze',
    operationId: 'freeze',
    summary: 'An officer stops signing, for everything, a caller or a key',
    description:
      'In force within two seconds on every instance. Calls that would use a key are then denied by ' +
      '`FROZEN`, and nothing is submitted but by another officer. It is lifted at the host, by a quorum.',
    body: freezeBody,
    answers: { 200: { description: 'all that is frozen now', schema: freezeView } },
    problems: forOfficers,
  },
  {
    method: 'get',
    path: '/v1/keys',
    operationId: 'listKeys',
    summary:
      'The keys that the caller may use, and the recovery keys it is granted; for officers all',
    answers: { 200: { description: 'all of them', schema: keyList } },
    problems: withCaller,
  },
  {
    method: 'get',
    path: '/v1/audit/checkpoint',
    operationId: 'readCheckpoint',
    summary: 'The newest signed checkpoint of the audit log',
    answers: { 200: { description: 'as it was signed', schema: checkpointView } },
    problems: [...withCaller, 'not-found'],
  },
  {
    method: 'get',
    path: '/v1/audit/entries',
    operationId: 'listEntries',
    summary: 'Entries of the audit log that a checkpoint covers, for officers',
    query: entriesQuery,
    answers: { 200: { description: 'one page', schema: entryList } },
    problems: [...withCaller, 'forbidden', 'not-found'],
  },
  {
    method: 'get',
    path: '/v1/audit/proof/{index}',
    operationId: 'proveEntry',
    summary: 'A receipt for one entry, which anyone can check offline; for officers',
    id: entryIndex,
    idName: 'index',
    answers: {
      200: { description: 'a tlog-proof (C2SP)', schema: null, mediaType: 'text/plain' },
    },
    problems: [...withCaller, 'forbidden', 'not-found'],
  },
  {
    method: 'get',
    path: '/healthz',
    operationId: 'health',
    summary: 'Whether the service is alive',
    open: true,
    answers: { 200: { description: 'it is', schema: health } },
    problems: [],
  },
  {
    method: 'get',
    path: '/readyz',
    operationId: 'readiness',
    summary: 'Whether it could sign now, part by part',
    open: true,
    answers: {
      200: { description: 'ready', schema: readiness },
      503: { description: 'not ready; `parts` says why', schema: readiness },
    },
    problems: ['internal'],
  },
  {
    method: 'get',
    path: '/metrics',
    operationId: 'metrics',
    summary: 'Prometheus metrics',
    open: true,
    answers: {
      200: { description: 'text exposition format', schema: null, mediaType: 'text/plain' },
    },
    problems: ['internal'],
  },
  {
    method: 'get',
    path: '/openapi.json',
    operationId: 'openapi',
    summary: 'This document',
    open: true,
    answers: {
      200: { description: 'OpenAPI 3.1', schema: null, mediaType: 'application/json' },
    },
    problems: [],
  },
]
