// Making a project.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { useApp } from "../app";
import { ProjectAccess } from "../gen/labelmesh/labeling/v1/projects_pb";
import { go } from "../router";
import { randomUuid } from "../session/tabs";
import { useAction } from "../ui/action";
import { Field, Select, Trouble } from "../ui/parts";
import { type ClassDraft, classProblems, newClass, wireClasses } from "./draft";
import { ClassEditor } from "./editor";

export const ACCESS_OPTIONS = [
  { value: String(ProjectAccess.EVERYONE), text: "Everybody who is signed in" },
  { value: String(ProjectAccess.RESTRICTED), text: "Selected people" },
];

export function NewProjectPage(): JSX.Element {
  const { mesh } = useApp();
  const requestId = useMemo(randomUuid, []);
  const [displayName, setName] = useState("");
  const [description, setDescription] = useState("");
  const [access, setAccess] = useState(String(ProjectAccess.EVERYONE));
  const [classes, setClasses] = useState<ClassDraft[]>(() => [newClass("", "1"), newClass("", "2")]);
  const [tried, setTried] = useState(false);
  const problems = classProblems(classes);
  const create = useAction(async () => {
    const reply = await mesh.projects.createProject({
      requestId,
      displayName: displayName.trim(),
      description: description.trim(),
      classes: wireClasses(classes),
      access: Number(access),
    });
    if (reply.project) go({ at: "manage", projectId: reply.project.id });
  });
  const fields = create.problem?.fields;
  return (
    <form
      class="stack form-page"
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (problems.length === 0) void create.run();
      }}
    >
      <h1>New project</h1>
      <Field
        label="Name"
        required
        maxLength={200}
        value={displayName}
        error={fields?.get("display_name")}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <Field
        label="Description"
        maxLength={5000}
        hint="What is to be seen in the images, and how to decide in doubt."
        value={description}
        error={fields?.get("description")}
        onInput={(event) => setDescription(event.currentTarget.value)}
      />
      <Select label="Who may label" value={access} options={ACCESS_OPTIONS} onChoose={setAccess} />
      <ClassEditor classes={classes} onChange={setClasses} />
      {tried && problems.length > 0 && (
        <div role="alert" class="trouble">
          {problems.join(" ")}
        </div>
      )}
      <Trouble problem={create.problem} />
      <div class="actions">
        <button type="submit" class="primary" disabled={create.busy}>
          Make the project
        </button>
      </div>
    </form>
  );
}
