// The names of people behind the ids that answers carry. Only admins may read the list of accounts.
import { useApp } from "../app";
import { Role } from "../gen/labelmesh/auth/v1/users_pb";
import { readAll } from "../rpc/pages";
import { includes } from "../session/keeper";
import { useLoaded } from "../ui/loaded";

/** Tells who an account id is: by name where the person at the page may know it, else by the id itself. */
export function useNames(): (accountId: string) => string {
  const { mesh, keeper } = useApp();
  const admin = includes(keeper.user.value?.role ?? Role.UNSPECIFIED, Role.ADMIN);
  const names = useLoaded(
    async (signal) => {
      if (!admin) return new Map<string, string>();
      const users = await readAll(
        (pageToken) => mesh.users.listUsers({ pageSize: 500, pageToken }, { signal }),
        (reply) => reply.users,
      );
      return new Map(users.map((user) => [user.id, user.displayName || user.name]));
    },
    [admin],
  );
  return (accountId) => {
    const own = keeper.user.value;
    if (own && own.id === accountId) return `${own.displayName || own.name} (you)`;
    return names.value?.get(accountId) ?? accountId;
  };
}
