import { config } from 'zod'

// Imported before anything that declares a schema: Zod otherwise probes `new Function`, which a strict CSP reports as a
// violation even though Zod catches the refusal.
config({ jitless: true })
