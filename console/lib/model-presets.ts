import type { Model } from '../../contract/agents.ts'

export interface ModelPreset {
  id: 'openai' | 'anthropic' | 'openrouter' | 'ollama' | 'custom'
  name: string
  /** Under the name on the card. */
  detail: string
  baseUrl: string
  api: Model['api']
  /** An example of a model's name, as the endpoint writes it. */
  example: string
  /** How a key of theirs begins; null: the endpoint wants none. */
  keyLooks: string | null
}

const openai: ModelPreset = {
  id: 'openai',
  name: 'OpenAI',
  detail: 'GPT models',
  baseUrl: 'https://api.openai.com/v1',
  api: 'openai-completions',
  example: 'gpt-5-mini',
  keyLooks: 'sk-…',
}

export const modelPresets: readonly ModelPreset[] = [
  openai,
  {
    id: 'anthropic',
    name: 'Anthropic',
    detail: 'Claude models',
    baseUrl: 'https://api.anthropic.com/v1',
    api: 'anthropic-messages',
    example: 'claude-sonnet-4-5',
    keyLooks: 'sk-ant-…',
  },
  {
    id: 'openrouter',
    name: 'OpenRouter',
    detail: 'Many models',
    baseUrl: 'https://openrouter.ai/api/v1',
    api: 'openai-completions',
    example: 'anthropic/claude-sonnet-4.5',
    keyLooks: 'sk-or-…',
  },
  {
    id: 'ollama',
    name: 'Ollama',
    detail: 'Your machine',
    baseUrl: 'http://127.0.0.1:11434/v1',
    api: 'openai-completions',
    example: 'qwen3:8b',
    keyLooks: null,
  },
  {
    id: 'custom',
    name: 'Custom',
    detail: 'Any endpoint',
    baseUrl: '',
    api: 'openai-completions',
    example: 'model-name',
    keyLooks: null,
  },
]

export const presetOf = (id: ModelPreset['id']): ModelPreset =>
  modelPresets.find((preset) => preset.id === id) ?? openai

/** The preset whose endpoint this is; `custom` when it is nobody's. */
export function guessPreset(baseUrl: string): ModelPreset['id'] {
  const plain = baseUrl.replace(/\/+$/, '')
  return modelPresets.find((preset) => preset.baseUrl === plain)?.id ?? 'custom'
}

/** What the model part of a form holds. */
export interface ModelValues {
  provider: ModelPreset['id']
  baseUrl: string
  api: Model['api']
  modelId: string
  /** `new`: `key` is typed here; `secret`: one that is stored already; `none`: the endpoint wants none. */
  auth: 'new' | 'secret' | 'none'
  key: string
  secret: string
}

export const emptyModel: ModelValues = {
  provider: 'openai',
  baseUrl: openai.baseUrl,
  api: openai.api,
  modelId: '',
  auth: 'new',
  key: '',
  secret: '',
}

/** The values after another provider was chosen. What the user typed as key stays. */
export function withProvider(values: ModelValues, id: ModelPreset['id']): ModelValues {
  const preset = presetOf(id)
  const auth = id === 'ollama' ? 'none' : values.auth === 'none' && id !== 'custom' ? 'new' : values.auth
  return { ...values, provider: id, baseUrl: preset.baseUrl, api: preset.api, modelId: '', auth }
}

/** The `model` of a request. An empty key is sent as such, so that the schema refuses it and the field says so. */
export function modelBody(values: ModelValues): {
  baseUrl: string
  api: Model['api']
  id: string
  key?: string
  secret?: string | null
} {
  const body = { baseUrl: values.baseUrl.trim(), api: values.api, id: values.modelId.trim() }
  if (values.auth === 'new') return { ...body, key: values.key.trim() }
  return { ...body, secret: values.auth === 'secret' ? values.secret : null }
}
