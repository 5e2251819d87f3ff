import type { ReactNode } from 'react'
import { cn } from './cn.ts'

export interface Column<T> {
  title: string
  cell: (row: T) => ReactNode
  /** Narrow screens leave it out. */
  wide?: boolean
  right?: boolean
  /** The title is for assistive technology only, as over a column of buttons. */
  hideTitle?: boolean
}

export function Table<T>(props: {
  caption: string
  columns: readonly Column<T>[]
  rows: readonly T[]
  rowKey: (row: T) => string
}) {
  const place = (column: Column<T>): string =>
    cn('px-4 first:sm:pl-5 last:sm:pr-5', column.right && 'text-right', column.wide && 'hidden md:table-cell')
  return (
    <div className="overflow-x-auto">
      <table className="w-full border-collapse text-left">
        <caption className="sr-only">{props.caption}</caption>
        <thead>
          <tr className="border-b border-line text-xs text-ink-3">
            {props.columns.map((column) => (
              <th key={column.title} scope="col" className={cn(place(column), 'h-9 font-medium whitespace-nowrap')}>
                {column.hideTitle === true ? <span className="sr-only">{column.title}</span> : column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {props.rows.map((row) => (
            <tr key={props.rowKey(row)} className="hover:bg-sunken/50">
              {props.columns.map((column) => (
                <td key={column.title} className={cn(place(column), 'py-2.5 align-middle')}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
