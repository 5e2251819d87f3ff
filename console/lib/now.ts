import { useEffect, useState } from 'react'

/** The time in ms, renewed every `everyMs`, for texts such as `5 min ago`. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setTimeout(() => setNow(Date.now()), everyMs)
    return () => clearTimeout(timer)
  }, [now, everyMs])
  return now
}
