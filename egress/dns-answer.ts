import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type DecodedPacket,
} from 'dns-packet'
import { syntheticAddress } from '../contract/network.ts'
import type { EgressPolicy } from '../contract/sync.ts'
import { nameIsKnown } from '../core/egress-policy.ts'
import { parseHost } from '../core/host-name.ts'

export interface DnsAnswer {
  /** The packet to send; null: what came is not a question and gets no answer. */
  reply: Buffer | null
  /** The name asked for and whether it is known; null when the question was not about a name we judge. */
  asked: { name: string; known: boolean; type: string } | null
}

// RFC 1035 §4.1.1, RFC 6895 §2.3.
const rcodes = { ok: 0, formatError: 1, nameError: 3, notImplemented: 4, refused: 5 } as const
const responseBit = 0x8000
const opcodeBits = 0x7800
/** Negative answers are not cached, so that a rule that was just added works at once. */
const ttl = 5

/**
 * Answers out of the policy alone; no question is ever passed on, so nothing can be told to the outside by asking. An
 * allowed name has the synthetic address: its connections are redirected and dialled by name outside.
 */
export function answerDns(packet: Buffer, policy: EgressPolicy | undefined): DnsAnswer {
  let query: DecodedPacket
  try {
    if (packet.length < 12 || packet.length > 1232) return { reply: null, asked: null }
    query = decode(packet)
  } catch {
    // Its id is all that can be trusted.
    return { reply: packet.length < 12 ? null : header(packet.readUInt16BE(0), 0, rcodes.formatError), asked: null }
  }
  const id = query.id ?? 0
  const flags = query.flags ?? 0
  if ((flags & responseBit) !== 0 || query.type === 'response') return { reply: null, asked: null }
  const [question, ...more] = query.questions ?? []
  if ((flags & opcodeBits) !== 0) return { reply: header(id, flags, rcodes.notImplemented), asked: null }
  if (question === undefined || more.length > 0) return { reply: header(id, flags, rcodes.formatError), asked: null }
  const answer = (rcode: number, withAddress = false): Buffer =>
    encode({
      id,
      type: 'response',
      flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | (flags & RECURSION_DESIRED) | rcode,
      questions: [question],
      answers: withAddress ? [{ type: 'A', name: question.name, ttl, data: syntheticAddress }] : [],
    })
  if ((question.class ?? 'IN') !== 'IN') return { reply: answer(rcodes.refused), asked: null }
  const host = parseHost(question.name)
  const known = host.ok && nameIsKnown(policy, host.host)
  const name = host.ok ? host.host.text : question.name.replace(/[^\x21-\x7e]/g, '?').slice(0, 253)
  const asked = { name, known, type: question.type }
  // The name is judged before the type, so that no type tells more about a name than another.
  if (!known) return { reply: answer(rcodes.nameError), asked }
  switch (question.type as string) {
    case 'A':
      return { reply: answer(rcodes.ok, true), asked }
    // IPv6, and the hints of RFC 9460 for ECH and HTTP/3, exist for nobody here.
    case 'AAAA':
    case 'HTTPS':
    case 'SVCB':
    case 'UNKNOWN_65':
    case 'UNKNOWN_64':
      return { reply: answer(rcodes.ok), asked }
    default:
      return { reply: answer(rcodes.notImplemented), asked }
  }
}

function header(id: number, flags: number, rcode: number): Buffer {
  const reply = Buffer.alloc(12)
  reply.writeUInt16BE(id, 0)
  reply.writeUInt16BE(responseBit | (flags & (opcodeBits | RECURSION_DESIRED)) | rcode, 2)
  return reply
}
