import { complaint } from "./stream";

/** Asks the node to do something; throws what it says if it does not. */
export async function ask<T>(operation: string, request: object): Promise<T> {
  const answer = await fetch(`api/${operation}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Kdht-Dashboard": "1" },
    body: JSON.stringify(request),
  }).catch(() => {
    throw new Error("the node cannot be reached: does it still run?");
  });
  if (!answer.ok) throw new Error(await complaint(answer));
  return (await answer.json()) as T;
}
