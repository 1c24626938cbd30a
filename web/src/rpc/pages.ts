// Lists of the mesh come in pages; this reads on until they end or there is enough.

interface Page {
  readonly nextPageToken: string;
}

/** All items of a paged list, `atMost` of them. */
export async function readAll<Item, Reply extends Page>(
  ask: (pageToken: string) => Promise<Reply>,
  items: (reply: Reply) => readonly Item[],
  atMost = 2000,
): Promise<Item[]> {
  const all: Item[] = [];
  let pageToken = "";
  do {
    const reply = await ask(pageToken);
    all.push(...items(reply));
    pageToken = reply.nextPageToken;
  } while (pageToken !== "" && all.length < atMost);
  return all;
}
