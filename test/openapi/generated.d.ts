export interface paths {
  '/v1/requests': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** The caller's requests, newest first; an officer's are those that officers were asked about */
    get: operations['listRequests']
    put?: never
    /**
     * Propose a PLC operation
     * @description Judges it and keeps it; no key is used. The same bytes by the same caller for the same key are the same request, whatever became of it, unless it ended without a signature.
     */
    post: operations['proposeRequest']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/requests/{id}': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** One request */
    get: operations['readRequest']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/requests/{id}/sign': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Use the key, or get the recorded signature again
     * @description The rules judge it once more, at the head of today.
     */
    post: operations['signRequest']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/requests/{id}/submit': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Send the signed operation to the PLC directory
     * @description The log is read before and after. What holds is said by `state`: `confirmed` when the log shows the operation, whatever the directory answered; `submitted` when it was accepted and the log could not be read since; `returned` after a refusal (200) or without an answer (202), both in `submission`. It may be repeated. An officer sends on what any caller had signed; during a freeze nobody else does, nor the officer who froze (`FROZEN`).
     */
    post: operations['submitRequest']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/requests/{id}/approvals': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * An officer approves
     * @description By a statement that they signed, in a call that they signed. It is kept verbatim, and verified again whenever it counts. The same one again changes nothing.
     */
    post: operations['approveRequest']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/requests/{id}/rejections': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /** An officer rejects, for good */
    post: operations['rejectRequest']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/requests/{id}/cancel': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * Take back a request for which no key was used
     * @description A caller its own, without a body. An officer any one, also while it waits for its delay: by a rejection that they signed, which is final.
     */
    post: operations['cancelRequest']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/freeze': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    /**
     * An officer stops signing, for everything, a caller or a key
     * @description In force within two seconds on every instance. Calls that would use a key are then denied by `FROZEN`, and nothing is submitted but by another officer. It is lifted at the host, by a quorum.
     */
    post: operations['freeze']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/keys': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** The keys that the caller may use, and the recovery keys it is granted; for officers all */
    get: operations['listKeys']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/audit/checkpoint': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** The newest signed checkpoint of the audit log */
    get: operations['readCheckpoint']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/audit/entries': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Entries of the audit log that a checkpoint covers, for officers */
    get: operations['listEntries']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/v1/audit/proof/{index}': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** A receipt for one entry, which anyone can check offline; for officers */
    get: operations['proveEntry']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/healthz': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Whether the service is alive */
    get: operations['health']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/readyz': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Whether it could sign now, part by part */
    get: operations['readiness']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/metrics': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** Prometheus metrics */
    get: operations['metrics']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/openapi.json': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** This document */
    get: operations['openapi']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
}
export type webhooks = Record<string, never>
export interface components {
  schemas: {
    UnsignedOperation:
      | {
          /** @constant */
          type: 'plc_operation'
          /** @description did:key, the one of most authority first */
          rotationKeys: string[]
          verificationMethods: {
            [key: string]: string
          }
          alsoKnownAs: string[]
          services: {
            [key: string]: {
              type: string
              endpoint: string
            }
          }
          /** @description CID of the signed operation before; null for a genesis */
          prev: string | null
        }
      | {
          /** @constant */
          type: 'plc_tombstone'
          /** @description CID of the signed operation that this one follows */
          prev: string
        }
    SignedOperation:
      | {
          /** @constant */
          type: 'plc_operation'
          /** @description did:key, the one of most authority first */
          rotationKeys: string[]
          verificationMethods: {
            [key: string]: string
          }
          alsoKnownAs: string[]
          services: {
            [key: string]: {
              type: string
              endpoint: string
            }
          }
          /** @description CID of the signed operation before; null for a genesis */
          prev: string | null
          /** @description r‖s, low-S, 64 bytes as base64url without padding */
          sig: string
        }
      | {
          /** @constant */
          type: 'plc_tombstone'
          /** @description CID of the signed operation that this one follows */
          prev: string
          /** @description r‖s, low-S, 64 bytes as base64url without padding */
          sig: string
        }
    Submission: {
      /**
       * @description the last answer; whether the operation holds is said by `state` alone
       * @enum {string}
       */
      outcome: 'accepted' | 'refused' | 'unknown'
      /** @description HTTP status of a refusal */
      status: number | null
      /** @description the directory's words, escaped */
      message: string | null
      /** Format: date-time */
      sentAt: string
      /** @description when the directory's log showed the operation */
      confirmedAt: string | null
    }
    Saying: {
      /**
       * Format: base64
       * @description canonical DAG-CBOR
       */
      statement: string
      evidence:
        | {
            /** @constant */
            kind: 'did:key'
            did: string
            signature: string
          }
        | {
            /** @constant */
            kind: 'webauthn'
            credentialId: string
            clientDataJSON: string
            authenticatorData: string
            /** @description DER */
            signature: string
          }
    }
    Approval: {
      /** @description `caller:NAME` or `person:ID`: does not approve */
      requester: string
      /** @enum {string} */
      env: 'dev' | 'prod' | 'rehearsal'
      /** @description the name of this service in statements */
      audience: string
      keyDid: string | null
      head: string | null
      /** @description CIDs that it takes out of history */
      nullifies: string[]
      policy: {
        rules: string[]
        digest: string
      }
      roster: {
        epoch: number
        digest: string
      }
      /** @description Unix seconds */
      approveBy: number
      /** @description Unix seconds */
      executeBy: number
      /** @description seconds from the quorum to the first moment of signing */
      delay: number
      /** @description seconds from the end of the delay to the last */
      within: number
      /** @description the text that officers read; its SHA-256 is in their statements */
      display: string
      /** @description the first 8 words of that SHA-256 */
      words: string
      /** @enum {string} */
      standing: 'waiting' | 'delayed' | 'met' | 'rejected' | 'expired' | 'void'
      /** @description of a delay: from when it can be signed */
      until: number | null
      /** @description for people */
      missing: string[]
      said: {
        person: string
        /** @enum {string} */
        decision: 'approve' | 'reject'
        /** @enum {string} */
        by: 'did:key' | 'webauthn'
        counts: boolean
        /** @description verbatim, so that everybody can verify it again */
        saying: components['schemas']['Saying']
      }[]
    }
    Request: {
      /**
       * Format: uuid
       * @description UUID in lower case
       */
      id: string
      caller: string
      /** @description id of the key */
      key: string
      /** @enum {string} */
      state:
        | 'proposed'
        | 'approved'
        | 'signing'
        | 'signed'
        | 'returned'
        | 'submitted'
        | 'confirmed'
        | 'denied'
        | 'rejected'
        | 'cancelled'
        | 'expired'
        | 'superseded'
        | 'failed'
      /** @description SHA-256 of the signing bytes, hex */
      digest: string
      /** @enum {string} */
      class: 'genesis' | 'update' | 'nullify' | 'tombstone' | 'tombstone.fresh' | 'departure'
      /** @description null for a genesis that is not signed yet */
      did: string | null
      prev: string | null
      /** @description rules and invariants that decided */
      rules: string[]
      /** @description why, for people */
      decision: string
      /** @description what the operation changes, for people */
      rendering: string
      /** @description what was asked for */
      operation: components['schemas']['UnsignedOperation']
      /** @description null until it is signed, and once its signature was replaced */
      signedOperation: components['schemas']['SignedOperation'] | null
      /** @description `sig` of the signed operation */
      signature: string | null
      /** @description CID of the signed operation */
      cid: string | null
      /** @description requests whose signature this one replaces */
      replaces: string[]
      /** @description null when the caller submits by itself */
      submission: components['schemas']['Submission'] | null
      /** @description null where officers were not asked, or the policy of today does not ask them */
      approval: components['schemas']['Approval'] | null
      /** Format: date-time */
      createdAt: string
      intendedAt: string | null
      producedAt: string | null
    }
    RequestList: {
      requests: components['schemas']['Request'][]
      /** @description null on the last page */
      cursor: string | null
    }
    Proposal:
      | {
          key: string
          operation: components['schemas']['UnsignedOperation']
        }
      | {
          key: string
          /**
           * Format: base64
           * @description canonical DAG-CBOR, base64
           */
          unsigned: string
        }
    Problem: {
      /** @constant */
      type: 'about:blank'
      title: string
      status: number
      /** @enum {string} */
      code:
        | 'busy'
        | 'conflict'
        | 'denied'
        | 'forbidden'
        | 'internal'
        | 'malformed'
        | 'method-not-allowed'
        | 'not-found'
        | 'rejected'
        | 'stale'
        | 'too-large'
        | 'unauthenticated'
        | 'unsupported-media-type'
        | 'void'
      detail: string
      correlationId: string
      /** @description of a denial: the rule that said no */
      rule?: string
      /**
       * Format: uuid
       * @description the request that this is about
       */
      request?: string
      /**
       * @description of a conflict: where the request stands
       * @enum {string}
       */
      state?:
        | 'proposed'
        | 'approved'
        | 'signing'
        | 'signed'
        | 'returned'
        | 'submitted'
        | 'confirmed'
        | 'denied'
        | 'rejected'
        | 'cancelled'
        | 'expired'
        | 'superseded'
        | 'failed'
    }
    Checkpoint: {
      /** @description how many entries it covers */
      size: number
      /** @description the signed note (C2SP tlog-checkpoint): keep it, and compare with it later */
      checkpoint: string
      /** @description the newest one that a quorum of witnesses has cosigned, which may be older */
      cosigned: string | null
    }
    EntryList: {
      /** @description how many entries the newest checkpoint covers */
      size: number
      entries: {
        index: number
        /**
         * Format: base64
         * @description canonical DAG-CBOR: what the leaf is the hash of
         */
        body: string
      }[]
    }
    Freeze: {
      /** @description `all`, `caller NAME` or `key ID` */
      scope: string
    }
    Frozen: {
      /** @description all that is frozen now: `caller NAME since TIME by person:ID` */
      frozen: string[]
    }
    Health: {
      /** @constant */
      alive: true
    }
    Readiness: {
      ready: boolean
      parts: {
        [key: string]: {
          ok: boolean
          message: string
        }
      }
      warnings: string[]
    }
    Key: {
      id: string
      /** @description the pinned did:key, against which every signature is verified */
      did: string
      /** @enum {string} */
      curve: 'K-256' | 'P-256'
      /** @enum {string} */
      class: 'online' | 'recovery'
      development: boolean
    }
    KeyList: {
      keys: components['schemas']['Key'][]
    }
  }
  responses: never
  parameters: never
  requestBodies: never
  headers: never
  pathItems: never
}
export type $defs = Record<string, never>
export interface operations {
  listRequests: {
    parameters: {
      query?: {
        state?:
          | 'proposed'
          | 'approved'
          | 'signing'
          | 'signed'
          | 'returned'
          | 'submitted'
          | 'confirmed'
          | 'denied'
          | 'rejected'
          | 'cancelled'
          | 'expired'
          | 'superseded'
          | 'failed'
        /** @description `cursor` of the page before */
        cursor?: string
        /** @description default 50 */
        limit?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description one page */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['RequestList']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  proposeRequest: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        'application/json': components['schemas']['Proposal']
      }
    }
    responses: {
      /** @description a rule allows it */
      201: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description it waits for approval */
      202: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `denied` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `rejected` */
      409: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unsupported-media-type` */
      415: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  readRequest: {
    parameters: {
      query?: never
      header?: never
      path: {
        id: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description as it stands */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  signRequest: {
    parameters: {
      query?: never
      header?: never
      path: {
        id: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description signed */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description it waits for approval, or is being signed by another call: ask again */
      202: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `denied` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `rejected` or `conflict` */
      409: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  submitRequest: {
    parameters: {
      query?: never
      header?: never
      path: {
        id: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description confirmed, or refused by the directory */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description accepted and not seen in the log yet, or not answered */
      202: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `denied` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `conflict` or `stale` */
      409: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  approveRequest: {
    parameters: {
      query?: never
      header?: never
      path: {
        id: string
      }
      cookie?: never
    }
    requestBody: {
      content: {
        'application/json': components['schemas']['Saying']
      }
    }
    responses: {
      /** @description with what is still missing */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `forbidden` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `conflict` or `void` */
      409: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unsupported-media-type` */
      415: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  rejectRequest: {
    parameters: {
      query?: never
      header?: never
      path: {
        id: string
      }
      cookie?: never
    }
    requestBody: {
      content: {
        'application/json': components['schemas']['Saying']
      }
    }
    responses: {
      /** @description rejected */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `forbidden` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `conflict` or `void` */
      409: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unsupported-media-type` */
      415: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  cancelRequest: {
    parameters: {
      query?: never
      header?: never
      path: {
        id: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        'application/json': components['schemas']['Saying']
      }
    }
    responses: {
      /** @description cancelled, or rejected */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Request']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `conflict` or `void` */
      409: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unsupported-media-type` */
      415: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  freeze: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        'application/json': components['schemas']['Freeze']
      }
    }
    responses: {
      /** @description all that is frozen now */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Frozen']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `forbidden` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unsupported-media-type` */
      415: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  listKeys: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description all of them */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['KeyList']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  readCheckpoint: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description as it was signed */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Checkpoint']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  listEntries: {
    parameters: {
      query?: {
        /** @description the index of the first one; 0 */
        from?: number
        /** @description how many at most: 1 to 100 */
        limit?: number
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description one page */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['EntryList']
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `forbidden` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  proveEntry: {
    parameters: {
      query?: never
      header?: never
      path: {
        index: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description a tlog-proof (C2SP) */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'text/plain': string
        }
      }
      /** @description `malformed` */
      400: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `unauthenticated` */
      401: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `forbidden` */
      403: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `not-found` */
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `too-large` */
      413: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description `busy` */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  health: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description it is */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Health']
        }
      }
    }
  }
  readiness: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description ready */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Readiness']
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
      /** @description not ready; `parts` says why */
      503: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Readiness']
        }
      }
    }
  }
  metrics: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description text exposition format */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'text/plain': string
        }
      }
      /** @description `internal` */
      500: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/problem+json': components['schemas']['Problem']
        }
      }
    }
  }
  openapi: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description OpenAPI 3.1 */
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': Record<string, never>
        }
      }
    }
  }
}
