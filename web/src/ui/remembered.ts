// What a person chose once and finds again. Choices only, nothing secret and nothing of the work; kept by person.
import { useState } from "preact/hooks";
import { useApp } from "../app";

/** A choice of the person at the page, and how to change it. */
export function useRemembered(name: string, otherwise: string): [string, (value: string) => void] {
  const { keeper } = useApp();
  const key = `labelmesh.choice.${keeper.user.value?.id ?? ""}.${name}`;
  const [value, setValue] = useState(() => localStorage.getItem(key) ?? otherwise);
  const choose = (chosen: string): void => {
    localStorage.setItem(key, chosen);
    setValue(chosen);
  };
  return [value, choose];
}
