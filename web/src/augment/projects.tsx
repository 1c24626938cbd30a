// Choosing a project, and an image of one.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app";
import type { Image } from "../gen/labelmesh/labeling/v1/images_pb";
import { readAll } from "../rpc/pages";
import { type Problem, problemOf } from "../rpc/problems";
import { useLoaded } from "../ui/loaded";
import { Dialog, Select, Trouble, Waiting } from "../ui/parts";
import { useRemembered } from "../ui/remembered";

const PAGE = 48;

/** A project to choose, the last chosen one first. `children` gets its id; "" while there is none. */
export function InProject(props: { children: (projectId: string) => JSX.Element }): JSX.Element {
  const { mesh } = useApp();
  const [remembered, remember] = useRemembered("augment-project", "");
  const projects = useLoaded(
    (signal) =>
      readAll(
        (pageToken) => mesh.projects.listProjects({ pageSize: 200, pageToken }, { signal }),
        (reply) => reply.projects,
      ),
    [],
  );
  const all = projects.value ?? [];
  const chosen = all.find((one) => one.id === remembered)?.id ?? all[0]?.id ?? "";
  if (!projects.value) return projects.problem ? <Trouble problem={projects.problem} /> : <Waiting what="Looking for projects…" />;
  if (chosen === "") return <p class="quiet-text">There is no project yet.</p>;
  return (
    <>
      <Select label="Project" value={chosen} options={all.map((one) => ({ value: one.id, text: one.displayName }))} onChoose={remember} />
      {props.children(chosen)}
    </>
  );
}

export function ImagePicker(props: { onChosen: (projectId: string, image: Image) => void; onClose: () => void }): JSX.Element {
  return (
    <Dialog title="An image of a project" class="picking" onClose={props.onClose}>
      <InProject>
        {(projectId) => <Images key={projectId} projectId={projectId} onChosen={(image) => props.onChosen(projectId, image)} />}
      </InProject>
    </Dialog>
  );
}

function Images(props: { projectId: string; onChosen: (image: Image) => void }): JSX.Element {
  const { mesh } = useApp();
  const [images, setImages] = useState<readonly Image[]>([]);
  const [next, setNext] = useState<string | null>("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [wanted, setWanted] = useState(1);
  useEffect(() => {
    // One page for each press of the button; `next` is null when there are no more.
    if (next === null) return;
    const controller = new AbortController();
    mesh.images.listImages({ projectId: props.projectId, pageSize: PAGE, pageToken: next }, { signal: controller.signal }).then(
      (reply) => {
        setImages((now) => [...now, ...reply.images]);
        setNext(reply.nextPageToken === "" ? null : reply.nextPageToken);
        setProblem(null);
      },
      (thrown) => {
        if (!controller.signal.aborted) setProblem(problemOf(thrown));
      },
    );
    return () => controller.abort();
  }, [wanted]);
  const waiting = images.length < (wanted - 1) * PAGE + 1 && next !== null && problem === null;
  return (
    <>
      <Trouble problem={problem} />
      {problem?.reason === "" && <p class="quiet-text">Only managers can see all images of a project.</p>}
      {waiting && images.length === 0 && <Waiting what="Looking for images…" />}
      {!waiting && images.length === 0 && problem === null && <p class="quiet-text">This project has no images.</p>}
      <ul class="thumbs">
        {images.map((image) => (
          <li key={image.id}>
            <button type="button" class="thumb" aria-label={`Take ${image.name}`} onClick={() => props.onChosen(image)}>
              <img src={image.url} alt="" loading="lazy" decoding="async" />
              <span>{image.name}</span>
            </button>
          </li>
        ))}
      </ul>
      {next !== null && images.length > 0 && (
        <div class="actions start">
          <button type="button" disabled={waiting} onClick={() => setWanted(wanted + 1)}>
            More
          </button>
        </div>
      )}
    </>
  );
}
